"""Texts of a column as values of its type, and which of them are no literals of it."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.column_text import ColumnText
from shared.spec.source import SourceSpec
from shared.spec.types import STRING, DataType, Field, Kind
from worker_service.arrow import Array, Mask, from_numbers, string_bytes, with_dictionary
from worker_service.readers.literals.canonical import CANONICAL, cleared
from worker_service.readers.literals.formats import formatted
from worker_service.readers.literals.local_times import INSTANT, in_zone
from worker_service.readers.literals.strict import NO_TEXT, Misfit, grammar, outside_years, strict

Column: TypeAlias = Array
_FEW = 64
_USUAL: dict[Kind, bytes] = {
    "bool": b"trueTRUE",
    "int64": b"0123456789-",
    "float64": b"0123456789-.",
    "decimal": b"0123456789-.",
    "date": b"0123456789-",
    "timestamp": b"0123456789-:. T",
    "timestamptz": b"0123456789-:. T+Z",
}
_OWN_MARKS = {"decimal": None, "thousands": None, "negative": ("-5",)}
"""Of numbers in our own spelling."""
_DAY = 86_400_000_000
_LOCAL = pa.timestamp("us")
_ZONED = r".{10}[ T].*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"


class Converted(NamedTuple):
    """`values` have the Arrow type of the field; they are null in the rows of `misfits`, if there are any.

    `misfits` is None where every text is a literal or null.
    """

    values: Array
    misfits: Mask | None = None


def converted(text: Array, field: Field, source: SourceSpec) -> Converted:
    """*text* of the column that *field* reads, as *source* says that it is written."""
    how = source.written(field.column, field.type)
    text = cleared(text, how, source.csv.null_values)
    if field.type.kind == "string":
        return Converted(_string(text, how))
    if not (field.key and not field.declared):
        text = CANONICAL[field.type.kind](text, how)
    if how.format:
        return _formatted(text, how.format, field, source)
    if field.type.kind == "timestamptz" and field.declared:
        return _timestamptz(text, field, source)
    return _sifted(text, field, lenient=how.lenient or how.percent)


def converted_with_numbers(text: Array, numbers: Mask, field: Field, source: SourceSpec) -> Converted:
    """As `converted`. The texts of *numbers* stand for numbers of the file; marks are for the others."""
    given = source.types.get(field.column)
    own = given.model_copy(update=_OWN_MARKS) if isinstance(given, ColumnText) else given
    if own == given or not numbers.any():
        return converted(text, field, source)
    plain = source.model_copy(update={"types": {**source.types, field.column: own}})
    mask = pa.array(numbers)
    ours = converted(pc.if_else(mask, text, NO_TEXT), field, plain)
    others = converted(pc.if_else(mask, NO_TEXT, text), field, source)
    return Converted(pc.coalesce(ours.values, others.values), _any(ours.misfits, others.misfits))


def _string(text: Array, how: ColumnText) -> Array:
    if not how.strip:
        return text
    plain = CANONICAL["string"](text.cast(pa.string()), how)
    return with_dictionary(plain) if pa.types.is_dictionary(text.type) else plain


def _sifted(text: Array, field: Field, *, lenient: bool = False) -> Converted:
    """Misfits are looked for only where some exist, and most of them show by a byte."""
    try:
        return Converted(strict(text, field, lenient=lenient))
    except Misfit:
        misfits = np.zeros(len(text), np.bool_)
    pattern = grammar(field.type, lenient=lenient)
    for rows in (_odd_rows(text, field.type.kind), None):
        among = text if rows is None else text.take(pa.array(rows))
        wrong = ~pc.fill_null(pc.match_substring_regex(among, pattern), True).to_numpy(zero_copy_only=False)
        misfits[slice(None) if rows is None else rows] |= wrong
        text = pc.if_else(pa.array(misfits), NO_TEXT, text)
        with suppress(Misfit):
            return Converted(strict(text, field, lenient=lenient), misfits)
    beyond = pa.array(list(_out_of_range(text.unique().drop_null(), field, lenient=lenient)), pa.string())
    misfits |= pc.is_in(text, value_set=beyond).to_numpy(zero_copy_only=False)
    text = pc.if_else(pa.array(misfits), NO_TEXT, text)
    return Converted(strict(text, field, lenient=lenient), misfits)


def _odd_rows(text: Array, kind: Kind) -> npt.NDArray[np.int64]:
    """The rows with a byte that few literals of the kind have."""
    bounds, octets = string_bytes(text)
    at = np.flatnonzero(_unusual(kind)[octets[bounds[0] : bounds[-1]]]) + bounds[0]
    return np.unique(np.searchsorted(bounds, at, side="right") - 1)


@cache
def _unusual(kind: Kind) -> Mask:
    """For each octet, whether few literals of the kind have it."""
    return ~np.isin(np.arange(256), list(_USUAL[kind]))


def _out_of_range(words: Array, field: Field, *, lenient: bool) -> Iterator[str]:
    """Of distinct texts that match the grammar, those that are no literals: found by bisection."""
    try:
        strict(words, field, lenient=lenient)
    except Misfit:
        if len(words) == 1:
            yield words[0].as_py()
            return
        half = len(words) // 2
        yield from _out_of_range(words.slice(0, half), field, lenient=lenient)
        yield from _out_of_range(words.slice(half), field, lenient=lenient)


def _timestamptz(text: Array, field: Field, source: SourceSpec) -> Converted:
    """With an offset or, in `source.timezone`, without one."""
    zoned = pc.match_substring_regex(text, _ZONED)
    naive_field = Field("", DataType("timestamp"))
    if not pc.any(zoned).as_py():
        naive = _sifted(text, naive_field)
        local = _moments(naive.values, source)
        return Converted(local.values, _any(naive.misfits, local.misfits))
    aware = _sifted(pc.if_else(zoned, text, NO_TEXT), field)
    naive = _sifted(pc.if_else(zoned, NO_TEXT, text), naive_field)
    local = _moments(naive.values, source)
    values = pc.coalesce(aware.values, local.values)
    return Converted(values, _any(aware.misfits, naive.misfits, local.misfits))


def _formatted(text: Array, patterns: Sequence[str], field: Field, source: SourceSpec) -> Converted:
    found = formatted(text, patterns)
    misfits = _marked(~(found.fit | np.asarray(text.is_null().to_numpy(zero_copy_only=False), np.bool_)))
    if field.type.kind == "timestamptz":
        naive = _moments(from_numbers(_LOCAL, found.local, found.fit & ~found.zoned), source)
        aware = from_numbers(INSTANT, found.local - found.offsets, found.zoned)
        return _within_years(pc.coalesce(aware, naive.values), _any(misfits, naive.misfits))
    if field.type.kind == "timestamp":
        return Converted(from_numbers(_LOCAL, found.local, found.fit), misfits)
    days, time = np.divmod(found.local, _DAY)
    dates = from_numbers(pa.date32(), days, found.fit & (time == 0))
    return Converted(dates, _any(misfits, _marked(found.fit & (time != 0))))


def _moments(naive: Array, source: SourceSpec) -> Converted:
    found = in_zone(naive, source.timezone, source.ambiguous_times)
    return _within_years(found.values, found.misfits)


def _within_years(values: Array, misfits: Mask | None) -> Converted:
    outside = outside_years(values)
    if outside is None:
        return Converted(values, misfits)
    return Converted(
        pc.if_else(pa.array(outside), pa.scalar(None, values.type), values), _any(misfits, outside)
    )


def _marked(mask: Mask) -> Mask | None:
    return mask if mask.any() else None


def _any(*masks: Mask | None) -> Mask | None:
    marked = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(marked) if marked else None


def fits(text: Array, field: Field, source: SourceSpec) -> bool:
    """Whether every text is a literal of *field*.

    A cast makes an error message for each misfit, so a few values are tried before all.
    """
    if len(text) > _FEW and not fits(text.slice(0, _FEW), field, source):
        return False
    return converted(text, field, source).misfits is None


Fits: TypeAlias = Callable[[Array, Field, SourceSpec], bool]


def narrowest(
    text: Array, kinds: Sequence[Kind], source: SourceSpec, *, key: bool = False, holds: Fits = fits
) -> Kind:
    """The first of *kinds* that holds every value of an undeclared column; `string` holds them all.

    For a *key* it holds them as they are spelled. `null` where trimming leaves no value. *holds* answers as
    `fits` does.
    """
    if source.csv.trim and cleared(
        text, source.written("", STRING), source.csv.null_values
    ).null_count == len(text):
        return "null"  # nothing but white space
    first = _first_as_written(text, source)
    return next(
        kind
        for kind in kinds
        if kind == "string"
        or (
            (first is None or re.fullmatch(grammar(DataType(kind)), first))
            and holds(text, Field("", DataType(kind), key=key), source)
        )
    )


def _first_as_written(text: Array, source: SourceSpec) -> str | None:
    """The first value, if it is a literal of a kind just as it stands or not at all; else None.

    So most kinds are refused by one match, which costs far less than a conversion.
    """
    csv = source.csv
    if csv.trim or (csv.decimal, csv.thousands) != (".", None):
        return None
    first: str | None = next((value for value in text.slice(0, _FEW).to_pylist() if value is not None), None)
    return None if first in csv.null_values else first


def first_misfit(values: Column, accepts: Callable[[Column], bool]) -> int | None:
    """The first row that *accepts* refuses; None if it accepts all.

    Found by bisection: *accepts* refuses a range exactly if it refuses one of its values.
    """
    if accepts(values):
        return None
    low, high = 0, len(values)  # every row before low is accepted; [low, high) is refused
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if accepts(values.slice(low, middle - low)) else (low, middle)
    return low
