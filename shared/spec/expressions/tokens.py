"""The words and signs of an expression, before Python's parser sees it.

Literal texts and names in backticks follow SQL: a quote within is doubled, and a backslash stands for itself.
So a pattern is written as elsewhere. Signs that Python or SQL have and this language does not are refused
here, with the words to use instead.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.spec.expressions.tree import ExpressionError
from shared.spec.names import quote

MAX_DEPTH = 100
"""Brackets within brackets, and nodes within nodes."""
MAX_TOKENS = 4_000

_TOKEN = re.compile(
    r"""(?P<space>\s++)
    |(?P<text>'(?:[^']|'')*+'|"(?:[^"]|"")*+")
    |(?P<name>`(?:[^`]|``)++`)
    |(?P<number>(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)
    |(?P<word>[^\W\d]\w*+)
    |(?P<sign>\*\*|//|==|!=|<=|>=|<>|\|\||&&|::|:=|=~|.)""",
    re.VERBOSE | re.DOTALL,
)
_SIGNS = frozenset([*"+-*/%<>()[]{},.", "//", "**", "==", "!=", "<=", ">="])
_INSTEAD = {
    "=": "==",
    "<>": "!=",
    "=~": "matches(text, pattern)",
    "&": "and",
    "&&": "and",
    "|": "or",
    "||": "concat(a, b) or or",
    "~": "not",
    "!": "not",
    "^": "**",
    "::": "cast(value, 'type')",
    "?": "if_else(condition, a, b)",
    ":": "substr(text, start, length)",
}
_CLOSES = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is text, name, number, word or sign; `start` counts characters from 0."""

    kind: str
    text: str
    start: int

    @property
    def value(self) -> str:
        """The content of a literal text or of a name in backticks."""
        return self.text[1:-1].replace(self.text[0] * 2, self.text[0])


def tokens(text: str) -> list[Token]:
    """Raises ExpressionError for signs, brackets and neighbours that no expression has."""
    found: list[Token] = []
    for token in _scanned(text):
        if len(found) == MAX_TOKENS:
            raise ExpressionError(
                token.start + 1, f"an expression has at most {MAX_TOKENS:,} words and signs"
            )
        if found and "sign" not in {token.kind, found[-1].kind} and _touch(found[-1], token):
            raise _run_together(found[-1], token)
        found.append(token)
    _check_brackets(found)
    return found


def _scanned(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        token = Token(match.lastgroup or "", match[0], match.start())
        if token.kind == "sign":
            _check_sign(token)
        if token.kind != "space":
            yield token


def _check_sign(token: Token) -> None:
    if token.text in _INSTEAD:
        guess = _INSTEAD[token.text]
        raise ExpressionError(token.start + 1, f"{quote(token.text)} is no operator; did you mean {guess}?")
    if token.text in {"'", '"', "`"}:
        raise ExpressionError(token.start + 1, f"this {token.text} is never closed")
    if token.text not in _SIGNS:
        raise ExpressionError(token.start + 1, f"{quote(token.text)} has no meaning in an expression")


def _touch(left: Token, right: Token) -> bool:
    return left.start + len(left.text) == right.start


def _run_together(left: Token, right: Token) -> ExpressionError:
    if left.kind == "number":
        return ExpressionError(
            left.start + 1,
            f"{quote(left.text + right.text)} is no number; "
            "numbers are written with digits, a point and an exponent, and names that begin with a digit "
            "stand in backticks",
        )
    return ExpressionError(
        right.start + 1, f"{quote(right.text)} directly follows {quote(left.text)}; an operator is missing"
    )


def _check_brackets(found: list[Token]) -> None:
    opened: list[Token] = []
    for token in found:
        if token.kind != "sign":
            continue
        if token.text in _CLOSES.values():
            opened.append(token)
        elif token.text in _CLOSES and (not opened or opened.pop().text != _CLOSES[token.text]):
            raise ExpressionError(token.start + 1, f"{token.text} closes no {_CLOSES[token.text]}")
        if len(opened) > MAX_DEPTH:
            raise ExpressionError(token.start + 1, f"more than {MAX_DEPTH} brackets are open")
    if opened:
        raise ExpressionError(opened[-1].start + 1, f"this {opened[-1].text} is never closed")
