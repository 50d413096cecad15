"""The types of an expression: those that each operator accepts, and the one that it gives.

A conversion that the rules imply becomes a node of its own, so a kernel sees operands of the types that it
takes. The table in docs/spec.md says the same in words.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

from shared.spec.expressions.calls import checked_call
from shared.spec.expressions.comparisons import compared, membership
from shared.spec.expressions.convert import as_exact, converted, needs
from shared.spec.expressions.functions import FUNCTIONS, NUMBERS, TIMES, TRUTHS
from shared.spec.expressions.literals import literal
from shared.spec.expressions.numbers import result_of
from shared.spec.expressions.tree import Call, Column, Comparison, Expression, ExpressionError, Literal, Typed
from shared.spec.names import quote
from shared.spec.types import BOOL, FLOAT64, INT64, NULL, DataType


def check(expression: Expression, types: Mapping[str, DataType], zone: str = "UTC") -> Typed:
    """The tree with the type of each node; *types* has every column that it names.

    Times with a zone are taken apart, and literal times are read, as clocks in *zone* show them. Raises
    ExpressionError.
    """
    typed = _checked(expression, types, zone)
    if typed.type == NULL:
        raise ExpressionError(typed.at, "None alone has no type; write cast(None, 'int64'), with its type")
    return typed


def _checked(expression: Expression, types: Mapping[str, DataType], zone: str) -> Typed:
    match expression:
        case Column(name, at):
            if types[name].array:
                raise ExpressionError(at, f"{quote(name)} is {types[name]}, and expressions take no arrays")
            return Typed("column", types[name], at=at, settings=(name,))
        case Literal(value, at):
            return literal(value, at)
        case Comparison(operators, operands, at):
            sides = [_checked(operand, types, zone) for operand in operands]
            pairs = zip(operators, sides, sides[1:], strict=False)
            return _all_of([compared(operator, left, right, zone) for operator, left, right in pairs], at)
        case Call(function, operands, at):
            nodes = [_checked(operand, types, zone) for operand in operands]
            if function in FUNCTIONS:
                return checked_call(FUNCTIONS[function], nodes, at, zone)
            return _OPERATORS[function](function, nodes, zone)


def _all_of(conditions: Sequence[Typed], at: int) -> Typed:
    return conditions[0] if len(conditions) == 1 else Typed("and", BOOL, tuple(conditions), at)


def _numbers(operator: str, nodes: Sequence[Typed]) -> list[Typed]:
    kinds = {node.type.kind for node in nodes}
    if operator == "+" and "string" in kinds:
        raise ExpressionError(nodes[0].at, "+ does not join texts; did you mean concat(a, b)?")
    if operator == "-" and kinds & TIMES:
        raise ExpressionError(nodes[0].at, "- takes no times; did you mean date_diff('day', start, end)?")
    return [needs(operator, node, NUMBERS) for node in nodes]


def _arithmetic(operator: str, nodes: Sequence[Typed], zone: str) -> Typed:
    left, right = _beside_doubles(_numbers(operator, nodes), zone)
    if operator == "/" or left.type == FLOAT64:
        return Typed(operator, FLOAT64, (left, right), left.at)
    if left.type == right.type == INT64:
        return Typed(operator, INT64, (left, right), left.at)
    left, right = (as_exact(node, zone) for node in (left, right))
    return Typed(operator, result_of(operator, left, right), (left, right), left.at)


def _beside_doubles(nodes: Sequence[Typed], zone: str) -> list[Typed]:
    """Numbers as they are, or all of them as doubles if one is."""
    if any(node.type == FLOAT64 for node in nodes):
        return [converted(node, FLOAT64, zone) for node in nodes]
    return list(nodes)


def _power(_: str, nodes: Sequence[Typed], zone: str) -> Typed:
    [base], power = _numbers("**", nodes[:1]), nodes[1]
    assert isinstance(power.value, int), "the parser sees to it"
    product = reduce(lambda found, _: _arithmetic("*", [found, base], zone), range(power.value - 1), base)
    return Typed("**", product.type, (base,), base.at, settings=(power.value,))


def _signed(operator: str, nodes: Sequence[Typed], _: str) -> Typed:
    [number] = _numbers("-" if operator == "negate" else "+", nodes)
    return number if operator == "keep" else Typed("negate", number.type, (number,), number.at)


def _logic(operator: str, nodes: Sequence[Typed], _: str) -> Typed:
    return Typed(operator, BOOL, tuple(needs(operator, node, TRUTHS) for node in nodes), nodes[0].at)


_OPERATORS: dict[str, Callable[[str, Sequence[Typed], str], Typed]] = {
    **dict.fromkeys(("+", "-", "*", "/", "//", "%"), _arithmetic),
    **dict.fromkeys(("and", "or", "not"), _logic),
    **dict.fromkeys(("negate", "keep"), _signed),
    "**": _power,
    "in": membership,
}
