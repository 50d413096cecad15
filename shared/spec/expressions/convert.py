"""Operands brought to the types that an operation needs, or the message that says how to do it by hand."""

from collections.abc import Sequence
from decimal import Decimal

from shared.spec.expressions.functions import KINDS, NUMBERS, TEXTS, TIMES, TRUTHS, Kinds
from shared.spec.expressions.literals import as_type
from shared.spec.expressions.numbers import common, exact
from shared.spec.expressions.tree import ExpressionError, Typed
from shared.spec.names import quote
from shared.spec.types import BOOL, INT64, NULL, STRING, TIMESTAMP, DataType, Kind

_NULLS: tuple[tuple[Kind, DataType], ...] = (
    ("int64", INT64),
    ("string", STRING),
    ("bool", BOOL),
    ("timestamp", TIMESTAMP),
)
"""The type that a literal None has as an operand, by the kinds that the operation accepts."""
_LONGEST = 40


def converted(node: Typed, target: DataType, zone: str) -> Typed:
    """The node as one of *target*; a literal at once, without a loss."""
    if node.type == target:
        return node
    if node.op == "literal":
        return as_type(node, target, zone)
    return Typed("cast", target, (node,), node.at, settings=(zone,))


def as_exact(node: Typed, zone: str) -> Typed:
    """A number beside a decimal: a literal becomes a decimal of its digits."""
    return converted(node, exact(node), zone) if node.op == "literal" else node


def needs(operation: str, node: Typed, accepts: Kinds) -> Typed:
    """The operand of *operation*, whose kind must be one that it accepts."""
    if node.type == NULL:
        return as_type(node, next(kind for name, kind in _NULLS if name in accepts), "UTC")
    if node.type.kind not in accepts:
        advice = _advice(node, accepts)
        raise ExpressionError(node.at, f"{operation} needs {KINDS[accepts]}, and {described(node)}", advice)
    return node


def alike(operation: str, nodes: Sequence[Typed], zone: str) -> list[Typed]:
    """All operands brought to one type; literal texts beside times are read as such times."""
    timely = any(node.type.kind in TIMES for node in nodes)
    deciding = [node for node in nodes if not (timely and node.op == "literal" and node.type == STRING)]
    target = common(deciding)
    if target == NULL:
        raise ExpressionError(
            nodes[0].at, f"{operation} has None only; write cast(None, 'int64'), with its type"
        )
    if target is None:
        raise _apart(operation, list({node.type: node for node in reversed(deciding)}.values())[::-1])
    return [converted(node, target, zone) for node in nodes]


def described(node: Typed) -> str:
    if node.op == "column":
        return f"{quote(str(node.settings[0]))} is {node.type}"
    if node.op == "literal":
        return f"{_shown(node)} is {node.type}"
    return f"this is {node.type}"


def _shown(node: Typed) -> str:
    return quote(node.value) if isinstance(node.value, str) else str(node.value)


def _name(node: Typed) -> str:
    """The operand as it is written in advice: its column, or x."""
    name = str(node.settings[0]) if node.op == "column" else "x"
    return name if name.isidentifier() else f"`{name}`" if len(name) < _LONGEST and "`" not in name else "x"


def _advice(node: Typed, accepts: Kinds) -> str:
    kind, x = node.type.kind, _name(node)
    if accepts == TRUTHS:
        return f"; compare it, as in {x} == 'yes'" if kind == "string" else f"; compare it, as in {x} != 0"
    if accepts == TEXTS:
        return f"; cast({x}, 'string') makes a text of it"
    if kind == "string" and accepts == NUMBERS:
        return f"; cast({x}, 'float64') or cast({x}, 'decimal(18,2)') makes a number of it"
    if kind == "string" and "timestamp" in accepts:
        return f"; cast({x}, 'timestamp') or strptime({x}, '%d/%m/%Y') makes a time of it"
    return f"; cast({x}, 'timestamp') makes one of it" if kind == "date" and "timestamp" in accepts else ""


def _apart(operation: str, nodes: Sequence[Typed]) -> ExpressionError:
    """The first two operands that have no common type, one of each type, and a way to make one."""
    left, right = next(
        (nodes[i], node) for j, node in enumerate(nodes) for i in range(j) if common([nodes[i], node]) is None
    )
    return ExpressionError(
        left.at,
        f"{operation} finds no common type: {described(left)}, and {described(right)}",
        f"; {_together(left, right)}",
    )


def _together(left: Typed, right: Typed) -> str:
    kinds = {left.type.kind, right.type.kind}
    if "string" in kinds and kinds & NUMBERS:
        text, number = (left, right) if left.type == STRING else (right, left)
        if text.op == "literal":
            verb = "write" if _reads_as_number(text.value) else "a column is named"
            return f"{verb} {_shown(text)[1:-1]} without quotes"
        quoted = f"write '{_shown(number)}' in quotes, or " if number.op == "literal" else ""
        return f"{quoted}cast({_name(text)}, 'float64')"
    if "bool" in kinds and kinds & NUMBERS:
        flag = left if left.type == BOOL else right
        return f"a bool stands alone, as in: {_name(flag)}, or not {_name(flag)}"
    if kinds <= {"decimal", "int64"}:
        return "together they need more than 38 digits, so round or cast one of them"
    if kinds == {"timestamp", "timestamptz"}:
        naive = left if left.type == TIMESTAMP else right
        return f"cast({_name(naive)}, 'timestamptz') gives it the source's time zone"
    return "cast one of them"


def _reads_as_number(value: object) -> bool:
    try:
        Decimal(str(value))
    except ArithmeticError:
        return False
    return True
