"""Expressions in tests: hard values, our evaluation of a text, and its SQL for DuckDB."""

import datetime as dt
import random
from decimal import Decimal
from functools import reduce

import pyarrow as pa

from shared.spec.expressions import check, parse
from shared.spec.expressions.tree import Call, Column, Comparison, Literal
from shared.spec.source import ColumnText, SourceSpec
from shared.spec.types import Field, parse_type
from worker_service.arrow import arrow_type
from worker_service.kernels.expressions import evaluate
from worker_service.readers.literals import converted

INT = [0, 1, -1, 2, 3, 7, -7, 10, 1000, 2**53, 2**53 + 1, -(2**53) - 1, 2**62, 2**63 - 1, -(2**63)]
DOUBLE = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 0.1, 1e300, -1e-300, 5e-324, 2.0**53, 2.0**63, 1.7e308]
SPECIAL = [float("nan"), float("inf"), float("-inf")]
TEXT = [
    "",
    "a",
    "abc",
    "ABC",
    "  b ",
    "é",
    "日本語",
    "a,b,,c",
    "12",
    "-3.5",
    "%",
    "_",
    "\\",
    "'",
    "a\nb",
    "Zz9",
    "🂡x",
]
DATE = [
    dt.date(*day)
    for day in [(1970, 1, 1), (2024, 2, 29), (2023, 12, 31), (2021, 1, 3), (1, 1, 1), (9999, 12, 31)]
]
TIME = [
    dt.datetime.fromisoformat(text)
    for text in ("1970-01-01", "2024-02-29T23:59:59.999999", "1969-12-31T23:00:01", "2020-06-15T12:30")
]
VALUES = {
    "i": ("int64", INT),
    "j": ("int64", [*range(-3, 4), 2**63 - 1]),
    "x": ("float64", DOUBLE + SPECIAL),
    "y": ("float64", [*SPECIAL, 0.0, 1.5, -3.0, 1e308]),
    "d": ("decimal(9,2)", [Decimal(text) for text in ("0.00", "1.25", "-1.25", "99.99", "0.01", "-12.50")]),
    "e": (
        "decimal(20,5)",
        [Decimal(text) for text in ("0.00000", "1.25000", "-0.00001", "123456789012345.12345")],
    ),
    "s": ("string", TEXT),
    "t": ("string", ["a", "b", "", "abc"]),
    "b": ("bool", [True, False]),
    "c": ("bool", [True, False]),
    "dt": ("date", DATE),
    "du": ("date", DATE),
    "ts": ("timestamp", TIME),
    "tu": ("timestamp", TIME),
}
TYPES = {name: parse_type(kind) for name, (kind, _) in VALUES.items()}
ROWS = 120


def table(rows=ROWS, seed=12):
    """Random rows of the values, a sixth of them null; texts with a dictionary as readers give them."""
    chance = random.Random(seed)
    columns = {}
    for name, (_, values) in VALUES.items():
        picked = [chance.choice(values) if chance.random() < 5 / 6 else None for _ in range(rows)]
        column = pa.array(picked, arrow_type(TYPES[name]))
        columns[name] = column.dictionary_encode() if name == "t" else column
    return pa.table(columns)


def columns_of(frame):
    return {name: frame[name].combine_chunks() for name in frame.column_names}


def parse_text(text, target, layout, zone):
    """The readers' grammar of declared columns, or a pattern of strptime."""
    how = ColumnText(type=str(target), format=[layout] if layout else ())
    source = SourceSpec.model_construct(types={"": how}, timezone=zone)
    return tuple(converted(text, Field("", target, declared=True), source))


def evaluated(text, frame, zone="UTC", types=None):
    """Our result: (values, {row: message})."""
    types = types or TYPES
    typed = check(parse(text), types, zone)
    found = evaluate(typed, columns_of(frame), frame.num_rows, parse_text)
    found.values.validate(full=True)
    assert len(found.values) == frame.num_rows
    assert typed.op == "column" or found.values.type == arrow_type(typed.type)
    return found.values, dict(found.errors())


_LAZY = {
    "and": "(CASE WHEN {0} IS FALSE THEN FALSE ELSE {0} AND {1} END)",
    "or": "(CASE WHEN {0} THEN TRUE ELSE {0} OR {1} END)",
}
_CALLS = {
    "if_else": "(CASE WHEN {0} THEN {1} ELSE {2} END)",
    "is_null": "({0} IS NULL)",
    "negate": "(-{0})",
    "keep": "{0}",
    "not": "(NOT {0})",
    "in": "({0} IN ({rest}))",
    "weekday": "(isodow({0}) - 1)",
    "matches": "regexp_matches({0}, {1})",
    "extract": "nullif(regexp_extract({0}, {1}, 1), '')",
    "cast": "CAST({0} AS {1})",
    "try_cast": "TRY_CAST({0} AS {1})",
    "substr": "substring({all})",
    "concat": "({joined})",
    "contains": "contains({0}, {1})",
}
_SQL_TYPES = {"int64": "BIGINT", "float64": "DOUBLE", "string": "VARCHAR", "bool": "BOOLEAN"}


def sql(expression):
    """The same in DuckDB's SQL, from the tree as it is written: DuckDB makes its own conversions."""
    match expression:
        case Column(name):
            return f'"{name}"'
        case Literal(value):
            return _sql_literal(value)
        case Comparison(operators, operands):
            sides = [sql(operand) for operand in operands]
            pairs = zip(operators, sides, sides[1:], strict=False)
            signs = {"==": "=", "!=": "<>"}
            return "(" + " AND ".join(f"({a} {signs.get(o, o)} {b})" for o, a, b in pairs) + ")"
        case Call(function, operands):
            return _sql_call(function, operands)


def _sql_call(function, operands):
    done = [sql(operand) for operand in operands]
    if function in _LAZY:
        return reduce(_LAZY[function].format, done)
    if function == "**":
        return "(" + " * ".join([done[0]] * operands[1].value) + ")"
    if function in {"+", "-", "*", "/", "%"}:
        return f"({done[0]} {function} {done[1]})"
    if function in {"cast", "try_cast"}:
        kind = operands[1].value
        done[1] = _SQL_TYPES.get(kind, kind)
    if function == "date_diff" and operands[0].value == "week":  # DuckDB's own is off by one before 1970
        start, end = (f"date_trunc('week', {time})::DATE" for time in done[1:])
        return f"(({end} - {start}) // 7)"
    shape = _CALLS.get(function, f"{function}({{all}})")
    return shape.format(*done, all=", ".join(done), rest=", ".join(done[1:]), joined=" || ".join(done))


def _sql_literal(value):
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int():
            return f"CAST({value} AS {'BIGINT' if -(2**63) <= value < 2**63 else 'DECIMAL(38,0)'})"
        case Decimal():
            scale = -value.as_tuple().exponent
            return f"CAST('{value:f}' AS DECIMAL({max(len(value.as_tuple().digits), scale, 1)},{scale}))"
        case float():
            return f"CAST('{value!r}' AS DOUBLE)"
        case str():
            return "'" + value.replace("'", "''") + "'"
