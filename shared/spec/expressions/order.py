"""The texts that an expression orders, and those that it gives back."""

from collections.abc import Iterator

from shared.spec.expressions.tree import Typed
from shared.spec.types import STRING

_ORDERING = frozenset({"<", "<=", ">", ">=", "least", "greatest"})
_KEEPING = frozenset({"coalesce", "if_else", "least", "greatest", "trim", "lower", "upper"})
"""Functions whose result is a text that an operand has, but for its spaces and case."""


def ordered_texts(root: Typed) -> Iterator[tuple[Typed, str]]:
    """Each operation that asks which text is greater, with a column whose values are among the texts."""
    for node in _nodes(root):
        if node.op in _ORDERING:
            yield from ((node, column) for operand in node.operands for column in kept_texts(operand))


def kept_texts(root: Typed) -> tuple[str, ...]:
    """The columns whose texts are values of *root*."""
    return tuple(str(node.settings[0]) for node in _nodes(root, kept=True) if node.op == "column")


def _nodes(root: Typed, *, kept: bool = False) -> Iterator[Typed]:
    """Each node once; with *kept* only those whose texts are values of *root*."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        if kept and node.type != STRING:
            continue
        yield node
        inner = [] if kept and node.op not in _KEEPING else node.operands
        waiting += (operand for operand in inner if id(operand) not in seen)
        seen.update(map(id, inner))
