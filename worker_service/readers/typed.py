"""Arrow columns of files that declare their types, as the types of a schema.

Integers become int64, half and single floats float64, timestamps of any unit microseconds. A value that would
not survive makes a bad row, and is never rounded. Such are a uint64 past 2^63-1, a time between two
microseconds, and bytes that are no text. So is a date or time outside the years 1 to 9999. A double becomes
the decimal of its shortest text, and a decimal the nearest double.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared import errors
from shared.spec.source import SourceSpec
from shared.spec.types import STRING, Field
from worker_service.arrow import Ints, Mask, arrow_type, from_numbers, numbers_of, validity
from worker_service.readers import literals
from worker_service.readers.batch import Batch, Fault, numbered, shown
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.literals import Column, Converted
from worker_service.readers.literals.strict import Misfit
from worker_service.readers.physical import is_bytes, type_of

Cast = Callable[[Column], Column]
"""Raises Misfit or pa.ArrowInvalid if a value does not fit."""

_LOCAL = pa.timestamp("us")
_ENCODED = pa.dictionary(pa.int32(), pa.string())
_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_UNSIGNED = "decimal(20,0)"
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
    rows, located = decoded.num_rows, numbered(file.uri, row + 1)
    if not fields:
        return Batch(pa.table({"": pa.array(np.ones(rows, bool))}), rows, located)
    values = [column_at(decoded, field.column) for field in fields]
    found = [_converted(each, field, source) for each, field in zip(values, fields, strict=True)]
    batch = Batch(
        pa.table({f.name: each.values for f, each in zip(fields, found, strict=True)}), rows, located
    )
    masks = [_marked(each.misfits, finer.get(f.column), rows) for f, each in zip(fields, found, strict=True)]

    def fault(at: int) -> Fault:
        field, value, one = next(
            (field, each.slice(at, 1), each_found)
            for field, each, each_found, mask in zip(fields, values, found, masks, strict=True)
            if mask is not None and mask[at]
        )
        cut_off = one.misfits is None or not one.misfits[at]
        reason = (
            f"{_shown(value)} and some nanoseconds is {_TRUNCATE}"
            if cut_off
            else _reason(value, field, source)
        )
        return Fault(
            reason,
            field.column,
            _text_of(value),
            unreadable=is_bytes(value.type),
            cure=lambda: _cure(value, field),
        )

    wrong = [mask for mask in masks if mask is not None]
    return batch.without(np.logical_or.reduce(wrong), fault) if wrong else batch


def _marked(misfits: Mask | None, finer: Ints | None, rows: int) -> Mask | None:
    if finer is None or not finer.size:
        return misfits
    mask = np.zeros(rows, bool) if misfits is None else misfits.copy()
    mask[finer] = True
    return mask


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
            yield from _fields_in(
                [
                    (f"{name}.{field.name}", inner)
                    for field, inner in zip(values.type, values.flatten(), strict=True)
                ]
            )


def _converted(values: Column, field: Field, source: SourceSpec) -> Converted:
    cast = _cast(values.type, field, source)
    return _from_text(values, field, source) if cast is None else _sifted(values, cast)


def _cast(arrow: pa.DataType, field: Field, source: SourceSpec) -> Cast | None:
    """From the type *arrow* of the file; None for text.

    Raises errors.BadRow for a type that is never read, which the plan has excluded.
    """
    plain = arrow.value_type if pa.types.is_dictionary(arrow) else arrow
    found, target = type_of(plain), arrow_type(field.type)
    if found == STRING or is_bytes(plain):
        return None
    if found is None:
        raise errors.BadRow(f"column {field.column!r} is {arrow} in the file and does not fit {field.type}")
    special = _SPECIAL.get((found.kind, field.type.kind))
    return (
        (lambda values: special(values, target, source)) if special else (lambda values: values.cast(target))
    )


def _sifted(values: Column, cast: Cast) -> Converted:
    """Misfits are found among the distinct values, because a cast does not tell which it refuses."""
    plain = values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
    try:
        return Converted(cast(plain), None)
    except (pa.ArrowInvalid, Misfit):
        encoded = plain.dictionary_encode()
    wrong = pa.array(_misfits(encoded.dictionary, cast), encoded.indices.type)
    bad = pc.fill_null(pc.is_in(encoded.indices, value_set=wrong), False)
    good = cast(pc.replace_with_mask(plain, bad, pa.scalar(None, plain.type)))
    return Converted(good, bad.to_numpy(zero_copy_only=False))


def _misfits(values: Column, cast: Cast) -> list[int]:
    """The places of values that do not fit, by halves: few of many cost little."""
    found: list[int] = []
    waiting = [(0, len(values))]
    while waiting:
        start, end = waiting.pop()
        try:
            cast(values.slice(start, end - start))
        except (pa.ArrowInvalid, Misfit):
            middle = (start + end) // 2
            if start < middle:
                waiting += [(middle, end), (start, middle)]
            else:
                found.append(start)
    return found


def _reason(value: Column, field: Field, source: SourceSpec) -> str:
    """Why *value*, a column of one value, does not fit *field*."""
    plain = value.dictionary_decode() if isinstance(value, pa.DictionaryArray) else value
    cast = _cast(plain.type, field, source)
    try:
        if cast is not None:
            cast(plain)
    except literals.OutOfYears as error:
        return str(error.args[0])
    except (pa.ArrowInvalid, Misfit):
        pass
    if is_bytes(plain.type) and _sifted(plain, _text).misfits is not None:
        return f"the bytes {_shown(plain)} are no text in UTF-8"
    fine = (
        pa.types.is_timestamp(plain.type)
        and plain.type.unit == "ns"
        and plain.view(pa.int64())[0].as_py() % 1000
    )
    if fine and source.parquet.nanoseconds == "fail":
        return f"{_shown(plain)} is {_TRUNCATE}"
    lost = literals.no_moment(_text_of(plain), field, source) if _is_naive(plain.type) else ""
    return lost or f"{_shown(plain)} is no {field.type}"


def _is_naive(arrow: pa.DataType) -> bool:
    return pa.types.is_date(arrow) or (pa.types.is_timestamp(arrow) and arrow.tz is None)


def _cure(value: Column, field: Field) -> str:
    """The type that holds every integer of 64 bits without a sign; empty for other values."""
    plain = value.type.value_type if pa.types.is_dictionary(value.type) else value.type
    if field.type.kind != "int64" or not pa.types.is_uint64(plain):
        return ""
    return f"write {json.dumps({field.column: _UNSIGNED}, ensure_ascii=False)} into source.types"


def _shown(value: Column) -> str:
    return repr(_text_of(value))


def _text_of(value: Column) -> str:
    """The text of a column of one value."""
    plain = value.dictionary_decode() if isinstance(value, pa.DictionaryArray) else value
    raw = plain[0].as_py() if is_bytes(plain.type) else plain.cast(pa.string())[0].as_buffer().to_pybytes()
    return shown(raw, "utf-8")


def _from_text(values: Column, field: Field, source: SourceSpec) -> Converted:
    if pa.types.is_dictionary(values.type) and field.type == STRING and not field.declared:
        if values.type == _ENCODED:
            return Converted(values)
        words = values.dictionary.cast(pa.string())
        return Converted(pa.DictionaryArray.from_arrays(values.indices.cast(pa.int32()), words), None)
    text, unreadable = _sifted(values, _time_text if pa.types.is_time(values.type) else _text)
    found = literals.converted(text, field, source)
    masks = [mask for mask in (unreadable, found.misfits) if mask is not None]
    return Converted(found.values, np.logical_or.reduce(masks) if masks else None)


def _text(values: Column) -> Column:
    return values.cast(pa.string())


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
    if pc.all(pc.equal(dates.cast(_LOCAL), local)).as_py() is False:
        raise Misfit
    return dates


def _moment(values: Column, target: pa.DataType, source: SourceSpec) -> Column:
    local = _microseconds(values, source) if pa.types.is_timestamp(values.type) else values.cast(_LOCAL)
    moments = literals.in_zone(literals.in_years(local), source.timezone, source.ambiguous_times)
    if moments.misfits is not None:
        raise Misfit
    return literals.in_years(moments.values.cast(target))


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
"""By the kinds in the file and in the schema. All others are a plain cast, which refuses a change."""
