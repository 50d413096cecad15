"""From the text of an expression to its tree, by Python's own parser.

Literal texts, spaces, and names that Python could not have are first covered by ASCII characters, as many as
they have. So the parser sees one line without escapes, and its positions are positions in the text.
"""

import ast
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import isinf

from shared.spec.expressions.functions import FUNCTIONS, check_arguments, not_a_function, not_a_method
from shared.spec.expressions.tokens import MAX_DEPTH, Token, tokens
from shared.spec.expressions.tree import Call, Column, Comparison, Expression, ExpressionError, Literal
from shared.spec.names import quote

MOST_DIGITS = 38
MOST_POWER = 8

_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.And: "and",
    ast.Or: "or",
    ast.Not: "not",
    ast.USub: "negate",
    ast.UAdd: "keep",
}
_WORDS = {
    "AND": "and",
    "OR": "or",
    "NOT": "not",
    "IN": "in",
    "IS": "is_null(x)",
    "LIKE": "starts_with, contains or matches",
    "ILIKE": "contains(lower(x), 'text')",
    "BETWEEN": "low <= x <= high",
    "IF": "if_else(condition, a, b)",
    "CASE": "if_else(condition, a, b)",
    "WHEN": "if_else(condition, a, b)",
    "DIV": "//",
    "MOD": "%",
    "XOR": "!=",
}
_NONE = "None, or is_null(x)"
_CONSTANTS = {"null": _NONE, "none": _NONE, "nil": _NONE, "na": _NONE, "true": "True", "false": "False"}
_TAKEN = frozenset(keyword.kwlist) - {"and", "or", "not", "in", "is", "if", "else", "for", "lambda"}
_OTHERWISE: dict[type[ast.AST], str] = {
    ast.IfExp: "did you mean if_else(condition, a, b)?",
    ast.Subscript: "did you mean substr(text, start, length)?",
    ast.List: "a list stands only behind in",
    ast.Tuple: "a list stands only behind in",
    ast.Set: "a list stands only behind in",
}
_DIGITS = re.compile(r"[0-9]+")


def parse(text: str) -> Expression:
    """The tree of *text*, with no type checked. Raises ExpressionError."""
    found = tokens(text)
    if not found:
        raise ExpressionError(1, "the expression is empty")
    covered = _covered(text, found)
    try:
        body = ast.parse(covered, mode="eval").body
    except SyntaxError as error:
        offset = error.offset - 1 if error.offset else len(text)  # 0 is the end
        raise _misplaced(found, offset, len(text)) from None
    except (RecursionError, MemoryError):
        raise ExpressionError(1, f"operators are nested more than {MAX_DEPTH} deep") from None
    return _Reader(text, {token.start: token for token in found}).read(body, 1)


def _covered(text: str, found: Sequence[Token]) -> str:
    cover = [" "] * len(text)
    for token in found:
        odd = token.kind in {"text", "name"} or not token.text.isascii()
        plain = "_" * len(token.text) if odd else token.text
        if token.kind == "number":
            _check_number(token)
            plain = "1" * len(token.text)
        cover[token.start : token.start + len(token.text)] = plain
    return "".join(cover)


def _check_number(token: Token) -> None:
    mantissa = re.split("[eE]", token.text)[0]
    if mantissa.isdigit() and len(mantissa) > 1 and mantissa[0] == "0":
        plain = mantissa.lstrip("0") or "0"
        raise ExpressionError(
            token.start + 1,
            f"{quote(token.text)} has leading zeros; write {plain}, or '{mantissa}' for a text",
        )
    if mantissa != token.text:
        if isinf(float(token.text)):
            raise ExpressionError(token.start + 1, f"{quote(token.text)} is beyond the largest double")
    elif sum(map(len, _DIGITS.findall(mantissa))) > MOST_DIGITS:
        raise ExpressionError(
            token.start + 1,
            f"{quote(token.text)} has more than {MOST_DIGITS} digits; with an exponent (e0) it is a double",
        )


def _misplaced(found: Sequence[Token], offset: int, end: int) -> ExpressionError:
    """The error for a text that the parser refuses at *offset*: a known word is named first."""
    for token, following in zip(found, [*found[1:], None], strict=True):
        instead = _WORDS.get(token.text.upper()) if token.kind == "word" else None
        operator = following is None or following.kind != "sign" or following.text == "("
        if instead and operator and token.text not in {"and", "or", "not", "in"}:
            return ExpressionError(token.start + 1, f"{token.text} is no operator; did you mean {instead}?")
        if token.kind == "word" and token.text in _TAKEN - {"True", "False", "None"}:
            return ExpressionError(
                token.start + 1, f"a column of the name {token.text} stands in backticks: `{token.text}`"
            )
    here = next((token for token in found if token.start + len(token.text) > offset), None)
    if here is None or offset >= end:
        return ExpressionError(end + 1, "the expression ends too early: an operand is missing")
    return ExpressionError(here.start + 1, f"{quote(here.text)} cannot stand here")


class _Reader:
    """Reads Python's nodes; *found* has the token at each position of *text*."""

    def __init__(self, text: str, found: Mapping[int, Token]) -> None:
        self._text, self._found = text, found

    def read(self, node: ast.expr, depth: int) -> Expression:
        at = node.col_offset + 1
        if depth > MAX_DEPTH:
            raise ExpressionError(at, f"operators and functions are nested more than {MAX_DEPTH} deep")
        if reader := _READERS.get(type(node)):
            return reader(self, node, at, depth + 1)
        advice = _OTHERWISE.get(type(node), "docs/spec.md lists the operators and functions")
        raise ExpressionError(at, f"this kind of expression is not supported; {advice}")

    def _all(self, nodes: Sequence[ast.expr], depth: int) -> tuple[Expression, ...]:
        return tuple(self.read(node, depth) for node in nodes)

    def name(self, _: ast.Name, at: int, __: int) -> Expression:
        token = self._found[at - 1]
        if token.kind == "text":
            return Literal(token.value, at)
        if token.kind == "name":
            return Column(token.value, at)
        if meant := _CONSTANTS.get(token.text.lower()):
            raise ExpressionError(
                at, f"did you mean {meant}? A column of the name {token.text} stands in backticks"
            )
        return Column(token.text, at)

    def constant(self, node: ast.Constant, at: int, _: int) -> Expression:
        token = self._found[at - 1]
        if token.kind == "number":
            return Literal(_number(token.text), at)
        if isinstance(node.value, bool) or node.value is None:
            return Literal(node.value, at)
        raise ExpressionError(at, f"{quote(token.text)} has no meaning in an expression")

    def unary(self, node: ast.UnaryOp, at: int, depth: int) -> Expression:
        operator = _OPERATORS.get(type(node.op))
        assert operator is not None, "tokens refuses ~"
        operand = self.read(node.operand, depth)
        if (
            operator == "negate"
            and isinstance(operand, Literal)
            and not isinstance(operand.value, bool | str)
        ):
            return Literal(None if operand.value is None else _negative(operand.value), at)
        return Call(operator, (operand,), at)

    def binary(self, node: ast.BinOp, at: int, depth: int) -> Expression:
        operator = _OPERATORS[type(node.op)]
        left, right = self.read(node.left, depth), self.read(node.right, depth)
        if operator == "**":
            power = right.value if isinstance(right, Literal) else None
            if type(power) is not int or not 2 <= power <= MOST_POWER:
                raise ExpressionError(right.at, f"the power behind ** is a number from 2 to {MOST_POWER}")
        return Call(operator, (left, right), at)

    def logic(self, node: ast.BoolOp, at: int, depth: int) -> Expression:
        return Call(_OPERATORS[type(node.op)], self._all(node.values, depth), at)

    def compare(self, node: ast.Compare, at: int, depth: int) -> Expression:
        first = self.read(node.left, depth)
        if isinstance(node.ops[0], ast.In | ast.NotIn) and len(node.ops) == 1:
            found = Call("in", (first, *self._listed(node.comparators[0], depth)), at)
            return found if isinstance(node.ops[0], ast.In) else Call("not", (found,), at)
        operands = (first, *self._all(node.comparators, depth))
        for operator, left, right in zip(node.ops, operands, operands[1:], strict=False):
            _check_comparison(operator, left, right)
        return Comparison(tuple(_OPERATORS[type(operator)] for operator in node.ops), operands, at)

    def _listed(self, node: ast.expr, depth: int) -> tuple[Expression, ...]:
        """The literals of a list; a literal alone is a list of one."""
        many = node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else [node]
        elements = self._all(many, depth)
        for element in elements:
            if not isinstance(element, Literal):
                raise ExpressionError(
                    element.at, "a list behind in has only literals; compare others with =="
                )
        if not elements:
            raise ExpressionError(node.col_offset + 1, "the list behind in is empty")
        return elements

    def call(self, node: ast.Call, at: int, depth: int) -> Expression:
        if isinstance(node.func, ast.Attribute):
            raise not_a_method(node.func.attr, at)
        token = self._found[at - 1]
        if not isinstance(node.func, ast.Name) or token.kind != "word":
            raise ExpressionError(at, "only a function's name can stand before (")
        if error := not_a_function(token.text, at):
            raise error
        if node.keywords:
            raise ExpressionError(at, f"{token.text} takes its arguments by position")
        arguments = self._all(node.args, depth)
        check_arguments(FUNCTIONS[token.text], arguments, at)
        return Call(token.text, arguments, at)

    def attribute(self, node: ast.Attribute, at: int, _: int) -> Expression:
        dotted = self._text[node.col_offset : node.end_col_offset]
        raise ExpressionError(at, f"a name with a point stands in backticks: `{dotted}`")


def _check_comparison(operator: ast.cmpop, left: Expression, right: Expression) -> None:
    for side in (left, right):
        if isinstance(side, Literal) and side.value is None:
            negated = isinstance(operator, ast.IsNot | ast.NotEq)
            meant = "not is_null(x)" if negated else "is_null(x)"
            raise ExpressionError(left.at, f"a comparison with None is never true; did you mean {meant}?")
    if isinstance(left, Literal) and isinstance(right, Literal) and isinstance(left.value, str):
        raise ExpressionError(
            left.at,
            f"{quote(left.value)} is compared with a literal; a column's name has no quotes, or backticks",
        )
    if isinstance(operator, ast.Is | ast.IsNot):
        meant = "==" if isinstance(operator, ast.Is) else "!="
        raise ExpressionError(left.at, f"is compares nothing here; did you mean {meant}?")
    if isinstance(operator, ast.In | ast.NotIn):
        raise ExpressionError(left.at, "in does not chain; put it in brackets: a == b and (c in ('x', 'y'))")


def _number(text: str) -> int | float | Decimal:
    if text.isdigit():
        return int(text)
    return float(text) if "e" in text.lower() else Decimal(text)


def _negative(number: float | Decimal) -> int | float | Decimal:
    return number.copy_negate() if isinstance(number, Decimal) else -number


_READERS: dict[type[ast.expr], Callable[..., Expression]] = {
    ast.Name: _Reader.name,
    ast.Constant: _Reader.constant,
    ast.UnaryOp: _Reader.unary,
    ast.BinOp: _Reader.binary,
    ast.BoolOp: _Reader.logic,
    ast.Compare: _Reader.compare,
    ast.Call: _Reader.call,
    ast.Attribute: _Reader.attribute,
}
