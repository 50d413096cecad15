"""Arrow columns of files that declare their types, as the types of a schema.

Integers become int64, half and single floats float64, timestamps of any unit microseconds. A value that would
not survive (a uint64 past 2^63-1, a time between two microseconds, bytes that are no text) makes a bad row,
and is never rounded. So does a date or time outside the years 1 to 9999. A double becomes the decimal that
its shortest text names, and a decimal the nearest double.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared import errors
from shared.spec.source import SourceSpec
from shared.spec.types import STRING, Field
from worker_service.arrow import Ints, arrow_type, from_numbers, numbers_of, validity
from worker_service.readers import literals
from worker_service.readers.batch import BadRow, Batch, shown
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.literals import Column, Misfit
from worker_service.readers.physical import is_bytes, type_of

Convert = Callable[[Column], Column]
"""Raises Misfit or pa.ArrowInvalid if a value does not fit."""

_INSTANT, _LOCAL = pa.timestamp("us", tz="UTC"), pa.timestamp("us")
_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_TRUNCATE = 'finer than a microsecond; set source.parquet.nanoseconds to "truncate" to cut the rest off'


def typed(
    decoded: pa.RecordBatch,
    fields: list[Field],
    file: SourceFile,
    source: SourceSpec,
    row: int,
    finer: Mapping[str, Ints] = MappingProxyType({}),
) -> Batch:
    """*decoded*, whose first row is row *row* of the file, counted from 0, as the types of *fields*.

    *finer* has the rows of *decoded* with times that were finer than a microsecond before they were decoded.
    """
    if not fields:
        return Batch(pa.table({"": pa.array(np.ones(decoded.num_rows, bool))}), decoded.num_rows)
    columns: dict[str, Column] = {}
    bad: dict[int, BadRow] = {}
    for field in fields:
        values = column_at(decoded, field.column)
        convert = _conversion(values.type, field, source)
        columns[field.name], wrong = _converted(values, convert)
        for at in map(int, wrong):
            if at not in bad:
                reason = _reason(values.slice(at, 1), convert, field)
                bad[at] = _bad_row(file, row + at, field.column, reason, unreadable=is_bytes(values.type))
        for at in map(int, finer.get(field.column, ())):
            if at not in bad:
                reason = f"{_shown(values.slice(at, 1))} and some nanoseconds is {_TRUNCATE}"
                bad[at] = _bad_row(file, row + at, field.column, reason)
    table = pa.table(columns)
    if bad:
        good = np.ones(decoded.num_rows, bool)
        good[list(bad)] = False
        table = table.filter(pa.array(good))
    return Batch(table, decoded.num_rows, tuple(bad[at] for at in sorted(bad)))


def column_at(batch: pa.RecordBatch, name: str) -> Column:
    """The column of a dotted name; null where a struct around it is null."""
    found = batch.schema.get_field_index(name)
    if found >= 0:
        return batch.column(found)
    for path, values in _fields_in([(field.name, batch.column(i)) for i, field in enumerate(batch.schema)]):
        if path == name:
            return values
    raise KeyError(name)


def _fields_in(columns: list[tuple[str, Column]]) -> Iterator[tuple[str, Column]]:
    for name, values in columns:
        yield name, values
        if pa.types.is_struct(values.type):
            yield from _fields_in([
                (f"{name}.{field.name}", inner)
                for field, inner in zip(values.type, values.flatten(), strict=True)
            ])


def _converted(values: Column, convert: Convert) -> tuple[Column, Ints]:
    """The column, null where a value does not fit, and the rows of those values."""
    try:
        return convert(values), np.empty(0, np.int64)
    except (pa.ArrowInvalid, Misfit):
        pass
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    wrong = _misfits(encoded.dictionary, convert)
    bad = pc.fill_null(pc.is_in(encoded.indices, value_set=pa.array(wrong, encoded.indices.type)), False)
    plain = values.dictionary_decode() if encoded is values else values
    return convert(pc.if_else(bad, pa.scalar(None, plain.type), plain)), np.flatnonzero(bad)


def _misfits(values: Column, convert: Convert) -> list[int]:
    """The places of values that do not fit, by halves: few of many cost little."""
    found: list[int] = []
    waiting = [(0, len(values))]
    while waiting:
        start, end = waiting.pop()
        try:
            convert(values.slice(start, end - start))
        except (pa.ArrowInvalid, Misfit):
            middle = (start + end) // 2
            if start < middle:
                waiting += [(middle, end), (start, middle)]
            else:
                found.append(start)
    return found


def _bad_row(file: SourceFile, row: int, column: str, reason: str, *, unreadable: bool = False) -> BadRow:
    located = f"{file.uri}, row {row + 1}"
    return BadRow(
        uri=file.uri,
        row=row + 1,
        column=column,
        reason=reason,
        unreadable=unreadable,
        located=lambda: located,
    )


def _reason(value: Column, convert: Convert, field: Field) -> str:
    """Why *value*, a column of one value, does not fit *field*."""
    plain = _plain(value)
    text = _shown(plain)
    try:
        convert(value)
    except literals.OutOfYears as error:
        return str(error.args[0])
    except (pa.ArrowInvalid, Misfit):
        if pa.types.is_timestamp(plain.type) and plain.view(pa.int64())[0].as_py() % 1000:
            return f"{text} is {_TRUNCATE}"
        if is_bytes(plain.type):
            return f"the bytes {text} are no text in UTF-8"
    return f"{text} is no {field.type}"


def _shown(value: Column) -> str:
    if is_bytes(value.type):
        return repr(bytes(value[0].as_py())[:64])
    return repr(shown(value.cast(pa.string())[0].as_buffer().to_pybytes(), "utf-8"))


def _conversion(arrow: pa.DataType, field: Field, source: SourceSpec) -> Convert:
    """From the type *arrow* of the file to the type of *field*.

    Raises errors.BadRow where no value could fit, which the plan has excluded.
    """
    plain = arrow.value_type if pa.types.is_dictionary(arrow) else arrow
    found, target = type_of(plain), arrow_type(field.type)
    if found == STRING or is_bytes(plain):
        return partial(_from_text, field=field, source=source)
    if found is None:
        raise errors.BadRow(f"column {field.column!r} is {arrow} in the file and does not fit {field.type}")
    special = _SPECIAL.get((found.kind, field.type.kind))
    if special is not None:
        return lambda values: special(_plain(values), target, source)
    return lambda values: _plain(values).cast(target)


def _plain(values: Column) -> Column:
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def _from_text(values: Column, *, field: Field, source: SourceSpec) -> Column:
    if pa.types.is_time(values.type):
        values = _time_text(values)
    if field.type != STRING:
        return literals.convert(values.cast(pa.string()), field, source.timezone)
    if not pa.types.is_dictionary(values.type):
        return values.cast(pa.string())
    words = values.dictionary.cast(pa.string())
    return pa.DictionaryArray.from_arrays(values.indices.cast(pa.int32()), words)


def _time_text(values: Column) -> Column:
    """`01:02:03`, with as many digits of the second's fraction as it has."""
    numbers = pc.min_max(values.view(pa.int32() if values.type.bit_width == 32 else pa.int64()))
    lowest, highest = numbers["min"].as_py(), numbers["max"].as_py()
    if lowest is not None and not 0 <= lowest <= highest < _DAY[values.type.unit]:
        raise Misfit
    text = values.cast(pa.string())
    return text if values.type.unit == "s" else pc.replace_substring_regex(text, r"\.?0+$", "")


def _microseconds(values: Column, source: SourceSpec) -> Column:
    """Timestamps of any unit in microseconds, of the same zone; raises pa.ArrowInvalid for finer ones.

    With `parquet.nanoseconds` as `truncate` these become the last microsecond before them.
    """
    target = pa.timestamp("us", tz=values.type.tz)
    if values.type.unit == "ns" and source.parquet.nanoseconds == "truncate":
        return from_numbers(target, numbers_of(values) // 1000, validity(values))
    return values.cast(target)


def _timestamp(values: Column, target: pa.DataType, source: SourceSpec) -> Column:
    return literals.in_years(_microseconds(values, source).cast(target))


def _date_of_midnight(values: Column, target: pa.DataType, source: SourceSpec) -> Column:
    local = literals.in_years(_microseconds(values, source))
    dates = local.cast(target)
    if not pc.all(pc.equal(dates.cast(_LOCAL), local)).as_py():
        raise Misfit
    return dates


def _moment(values: Column, target: pa.DataType, source: SourceSpec) -> Column:
    local = _microseconds(values, source) if pa.types.is_timestamp(values.type) else values.cast(_LOCAL)
    return literals.in_years(literals.in_zone(literals.in_years(local), source.timezone).cast(target))


def _in_years(values: Column, target: pa.DataType, _: SourceSpec) -> Column:
    return literals.in_years(values.cast(target))


def _by_text(values: Column, target: pa.DataType, _: SourceSpec) -> Column:
    return values.cast(pa.string()).cast(target)


_SPECIAL: dict[tuple[str, str], Callable[[Column, pa.DataType, SourceSpec], Column]] = {
    ("float64", "decimal"): _by_text,
    ("decimal", "float64"): _by_text,
    ("date", "date"): _in_years,
    ("date", "timestamp"): _in_years,
    ("date", "timestamptz"): _moment,
    ("timestamp", "timestamp"): _timestamp,
    ("timestamp", "date"): _date_of_midnight,
    ("timestamp", "timestamptz"): _moment,
    ("timestamptz", "timestamptz"): _timestamp,
}
"""By the kinds in the file and in the schema. All others are a plain cast, which refuses what would change."""
