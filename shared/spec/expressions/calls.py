"""The types of functions: arguments against parameters, and the type of the result."""

from collections.abc import Callable, Mapping, Sequence

from shared.spec.expressions.comparisons import compared
from shared.spec.expressions.convert import alike, converted, described, needs
from shared.spec.expressions.functions import Function
from shared.spec.expressions.literals import literal
from shared.spec.expressions.numbers import rounded
from shared.spec.expressions.settings import DAYS
from shared.spec.expressions.tree import ExpressionError, Typed
from shared.spec.patterns import directives
from shared.spec.types import (
    BOOL,
    DATE,
    FLOAT64,
    INT64,
    NULL,
    STRING,
    TIMESTAMP,
    TIMESTAMPTZ,
    DataType,
    Kind,
    parse_type,
)

Operands = Sequence[Typed]
Settings = tuple[str | int, ...]

CASTS: Mapping[Kind, frozenset[Kind]] = {
    "bool": frozenset({"int64", "string"}),
    "int64": frozenset({"float64", "decimal", "string"}),
    "float64": frozenset({"int64", "decimal", "string"}),
    "decimal": frozenset({"int64", "float64", "decimal", "string"}),
    "string": frozenset({"bool", "int64", "float64", "decimal", "date", "timestamp", "timestamptz"}),
    "date": frozenset({"timestamp", "timestamptz", "string"}),
    "timestamp": frozenset({"date", "timestamptz", "string"}),
    "timestamptz": frozenset({"date", "timestamp", "string"}),
}
"""The other types that each type can be cast to."""


def checked_call(function: Function, arguments: Operands, at: int, zone: str) -> Typed:
    """Raises ExpressionError for a type that the function does not take."""
    operands, settings = _split(function, arguments, zone)
    if function.name in _BUILT:
        return _BUILT[function.name](operands, settings, at, zone)
    result = _RESULTS[function.name]
    kind = result if isinstance(result, DataType) else result(operands, settings)
    return Typed(function.name, kind, tuple(operands), at, settings=settings)


def _split(function: Function, arguments: Operands, zone: str) -> tuple[list[Typed], Settings]:
    """The operands, checked and brought to one type where they have to be alike, and the settings."""
    operands: list[Typed] = []
    settings: list[str | int] = []
    same: list[int] = []
    for index, argument in enumerate(arguments):
        parameter = function.parameter(index)
        if parameter.reads is not None:
            settings.append(parameter.reads(argument.value))
            continue
        if parameter.alike:
            same.append(len(operands))
        keep = parameter.alike and (
            argument.type == NULL or (argument.op == "literal" and argument.type == STRING)
        )
        operands.append(argument if keep else needs(function.name, argument, parameter.accepts))
    if same:
        brought = alike(function.name, [operands[i] for i in same], zone)
        accepts = function.parameter(len(arguments) - 1).accepts
        for i, operand in zip(same, brought, strict=True):
            operands[i] = needs(function.name, operand, accepts)
    return operands, tuple(settings)


def _own(operands: Operands, _: Settings) -> DataType:
    return operands[-1].type


def _rounded(operands: Operands, settings: Settings) -> DataType:
    number = operands[0].type
    return rounded(number, int(settings[0]) if settings else 0) if number.kind == "decimal" else number


def _local(node: Typed, zone: str) -> Typed:
    """A time with a zone as clocks in *zone* show it."""
    return Typed("cast", TIMESTAMP, (node,), node.at, settings=(zone,)) if node.type == TIMESTAMPTZ else node


def _root(operands: Operands, _: Settings, at: int, zone: str) -> Typed:
    return Typed("sqrt", FLOAT64, (converted(operands[0], FLOAT64, zone),), at)


def _null_if(operands: Operands, _: Settings, at: int, zone: str) -> Typed:
    """The value keeps its own type, whatever it is compared with."""
    value, other = operands
    null = converted(literal(None, at), value.type, zone)
    return Typed("if_else", value.type, (compared("==", value, other, zone), null, value), at)


def _part(name: str) -> Callable[[Operands, Settings, int, str], Typed]:
    return lambda operands, _, at, zone: Typed(name, INT64, (_local(operands[0], zone),), at)


def _truncated(operands: Operands, settings: Settings, at: int, zone: str) -> Typed:
    [time], [unit] = operands, settings
    if unit in DAYS:
        return Typed("date_trunc", DATE, (_local(time, zone),), at, settings=(unit, zone))
    if time.type == DATE:
        raise ExpressionError(time.at, f"a date has no {unit}; did you mean 'day', or cast(x, 'timestamp')?")
    return Typed("date_trunc", time.type, (time,), at, settings=(unit, zone))


def _difference(operands: Operands, settings: Settings, at: int, zone: str) -> Typed:
    """Whole days are those of the local calendar; shorter units are counted from their beginnings."""
    if settings[0] in DAYS:
        return Typed(
            "date_diff", INT64, tuple(_local(time, zone) for time in operands), at, settings=settings
        )
    times = [converted(time, TIMESTAMP, zone) if time.type == DATE else time for time in operands]
    begun = tuple(_truncated([time], settings, at, zone) for time in times)
    return Typed("date_diff", INT64, begun, at, settings=settings)


def _parsed(operands: Operands, settings: Settings, at: int, zone: str) -> Typed:
    kind = TIMESTAMPTZ if "z" in directives(str(settings[0])) else TIMESTAMP
    return Typed("parse", kind, tuple(operands), at, settings=(settings[0], zone))


def _cast(attempt: str) -> Callable[[Operands, Settings, int, str], Typed]:
    """*attempt* stands before the name of the operation."""

    def build(operands: Operands, settings: Settings, at: int, zone: str) -> Typed:
        [value], target = operands, parse_type(str(settings[0]))
        if value.value is None and value.op == "literal":
            return converted(value, target, zone)
        if value.type == target:
            return value
        if target.kind not in CASTS[value.type.kind]:
            instead = ", ".join(sorted(CASTS[value.type.kind]))
            raise ExpressionError(
                at, f"{described(value)}, and can be cast to {instead}, but not to {target}"
            )
        if value.type == STRING:
            return Typed(f"{attempt}parse", target, (value,), at, settings=(None, zone))
        if target == DATE:
            value = _local(value, zone)
        return Typed(f"{attempt}cast", target, (value,), at, settings=(zone,))

    return build


_RESULTS: dict[str, DataType | Callable[[Operands, Settings], DataType]] = {
    **dict.fromkeys(("coalesce", "if_else", "least", "greatest", "abs"), _own),
    **dict.fromkeys(("round", "floor", "ceil"), _rounded),
    **dict.fromkeys(
        ("lower", "upper", "trim", "substr", "replace", "split_part", "concat", "extract"), STRING
    ),
    **dict.fromkeys(("is_null", "starts_with", "ends_with", "contains", "matches"), BOOL),
    "length": INT64,
}
_PARTS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second", "weekday")
_BUILT: dict[str, Callable[[Operands, Settings, int, str], Typed]] = {
    **{name: _part(name) for name in _PARTS},
    "sqrt": _root,
    "nullif": _null_if,
    "date_trunc": _truncated,
    "date_diff": _difference,
    "strptime": _parsed,
    "cast": _cast(""),
    "try_cast": _cast("try_"),
}
