"""Short spellings of queries, and exact oracles that share no code with the kernels."""

import math
from fractions import Fraction

import pyarrow as pa

from shared.spec.functions import FUNCTIONS
from shared.spec.query import Aggregate, Input, Key, Query
from shared.spec.types import BOOL, DATE, FLOAT64, INT64, STRING, TIMESTAMP, TIMESTAMPTZ, DataType
from worker_service.kernels import combine, finalize, partial

_KINDS = {
    pa.bool_(): BOOL,
    pa.int64(): INT64,
    pa.float64(): FLOAT64,
    pa.utf8(): STRING,
    pa.date32(): DATE,
    pa.timestamp("us"): TIMESTAMP,
    pa.timestamp("us", tz="UTC"): TIMESTAMPTZ,
}


def kind_of(frame, name):
    kind = frame.schema.field(name).type
    if pa.types.is_dictionary(kind):
        return STRING
    return DataType("decimal", kind.precision, kind.scale) if pa.types.is_decimal(kind) else _KINDS[kind]


def aggregate(frame, text):
    """An aggregate spelled as its function and the parameters in their order, such as `std x 0`.

    The result column is the spelling.
    """
    fn, *words = text.split()
    given = dict(zip(FUNCTIONS[fn].parameters, words, strict=False))
    numbers = {
        name: float(given[name]) if name == "q" else int(given[name])
        for name in ("ddof", "q", "k")
        if name in given
    }
    inputs = tuple(
        Input(name, kind_of(frame, name)) for parameter, name in given.items() if parameter not in numbers
    )
    of = inputs[0].type if inputs else None
    return Aggregate(
        fn=fn,
        name=text,
        inputs=inputs,
        result=FUNCTIONS[fn].result(of),
        may_widen=fn == "sum" and of == INT64,
        **numbers,
    )


def query(frame, keys, aggregates, semantics="sql", **limits):
    return Query(
        keys=tuple(Key(column=key, name=key, type=kind_of(frame, key)) for key in keys),
        aggregates=tuple(aggregate(frame, text) for text in aggregates),
        semantics=semantics,
        **{"max_groups": 5_000_000, **limits},
    )


def rows(frame, keys, aggregates, semantics="sql"):
    """The results by key (a tuple where there are several, None where there is none)."""
    asked = query(frame, keys, aggregates, semantics)
    table = finalize(combine([partial(frame, asked)], asked), asked).table.to_pylist()
    assert all(list(row) == [*keys, *aggregates] for row in table)
    names = {0: lambda _: None, 1: lambda row: row[keys[0]]}.get(
        len(keys), lambda row: tuple(row[key] for key in keys)
    )
    return {names(row): {name: row[name] for name in aggregates} for row in table}


def only(values, aggregates, semantics="sql"):
    """The results of one column, without keys."""
    return rows(pa.table({"x": values}), [], aggregates, semantics)[None]


def nearest(exact):
    """The double nearest to a Fraction; CPython's true division of integers rounds correctly."""
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def exact_sum(values):
    return sum((Fraction(value) for value in values), Fraction(0))


def exact_var(values, ddof=1):
    mean = exact_sum(values) / len(values)
    return sum(((Fraction(value) - mean) ** 2 for value in values), Fraction(0)) / (len(values) - ddof)


def is_nearest_root(root, square):
    """Whether no other double lies nearer to the square root of the Fraction *square*."""
    below = (Fraction(root) + Fraction(math.nextafter(root, 0.0))) / 2
    above = (Fraction(root) + Fraction(math.nextafter(root, math.inf))) / 2
    return below**2 <= square <= above**2
