"""Dates and times in the patterns that `types` gives: the first pattern that fits a text counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.patterns import MONTHS, directives, expression
from worker_service.arrow import Array, Ints, Mask, numbers_of, validity

_CENTURY = 69
"""Years of two digits are 1969 to 2068, as in POSIX."""
_UNITS = {"H": 3_600_000_000, "M": 60_000_000, "S": 1_000_000, "f": 1}
_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Formatted:
    """`local` are the times as written, in microseconds since 1970, where they `fit` a pattern.

    `offsets` are the microseconds to subtract from them, where `zoned`.
    """

    local: Ints
    fit: Mask
    offsets: Ints
    zoned: Mask


def formatted(text: Array, patterns: Sequence[str]) -> Formatted:
    """Each distinct text is read once: dates have few."""
    words = text.dictionary_encode()
    distinct = _read_first(words.dictionary, patterns)
    present = validity(words)
    if not len(words.dictionary):
        return _nothing(len(text))
    rows = numbers_of(pc.fill_null(words.indices, 0))
    fit, zoned = distinct.fit[rows], distinct.zoned[rows]
    if present is not None:
        fit, zoned = fit & present, zoned & present
    return Formatted(distinct.local[rows], fit, distinct.offsets[rows], zoned)


def _nothing(rows: int) -> Formatted:
    return Formatted(
        np.zeros(rows, np.int64), np.zeros(rows, bool), np.zeros(rows, np.int64), np.zeros(rows, bool)
    )


def _read_first(text: Array, patterns: Sequence[str]) -> Formatted:
    whole = _nothing(len(text))
    for pattern in patterns:
        rest = np.flatnonzero(~whole.fit)
        found = _read(text.take(pa.array(rest)), pattern)
        whole.local[rest], whole.fit[rest] = found.local, found.fit
        whole.offsets[rest], whole.zoned[rest] = found.offsets, found.zoned
    return whole


def _read(text: Array, pattern: str) -> Formatted:
    matched = pc.extract_regex(text, expression(pattern))
    fit = np.asarray(matched.is_valid().to_numpy(zero_copy_only=False), bool)
    parts = {name: pc.struct_field(matched, name) for name in directives(pattern)}
    days, real = _days(parts, fit)
    local = days * _DAY + _time(parts)
    zoned = np.full(len(text), "z" in parts) & fit
    offsets = _offsets(parts["z"]) if "z" in parts else np.zeros(len(text), np.int64)
    return Formatted(local, real, offsets, zoned & real)


def _number(text: Array) -> Ints:
    """The integers that *text* spells, with leading zeros and spaces; 0 where it is null."""
    found: Ints = numbers_of(pc.fill_null(pc.cast(pc.utf8_ltrim_whitespace(text), pa.int64()), 0))
    return found


def _days(parts: dict[str, Array], fit: Mask) -> tuple[Ints, Mask]:
    """Days since 1970, and which of the rows that *fit* the pattern are real dates."""
    year = _number(parts["Y"]) if "Y" in parts else _number(parts["y"])
    if "y" in parts:
        year = year + np.where(year < _CENTURY, 2000, 1900)
    months = (year - 1970) * 12 + (0 if "j" in parts else _month(parts) - 1)
    day = _number(parts["j"] if "j" in parts else parts["d"])
    first = months.astype("datetime64[M]").astype("datetime64[D]")
    date = first + (day - 1)
    unit = "Y" if "j" in parts else "M"
    real = fit & (year > 0) & (date.astype(f"datetime64[{unit}]") == first.astype(f"datetime64[{unit}]"))
    return date.astype(np.int64), real


def _month(parts: dict[str, Array]) -> Ints:
    if "m" in parts:
        return _number(parts["m"])
    letters = pc.utf8_slice_codeunits(pc.utf8_lower(parts["b"] if "b" in parts else parts["B"]), 0, 3)
    index = pc.index_in(letters, value_set=pa.array([name[:3] for name in MONTHS]))
    found: Ints = numbers_of(pc.fill_null(index, 0)) + 1
    return found


def _time(parts: dict[str, Array]) -> Ints:
    """Microseconds since midnight."""
    total: Ints = np.zeros(1, np.int64)
    for name, unit in _UNITS.items():
        if name in parts:
            digits = pc.utf8_rpad(parts[name], 6, "0") if name == "f" else parts[name]
            total = total + _number(digits) * unit
    if "I" in parts:
        afternoon = pc.fill_null(pc.equal(pc.utf8_lower(parts["p"]), "pm"), False)
        total = total + (_number(parts["I"]) % 12 + 12 * numbers_of(afternoon)) * _UNITS["H"]
    return total


def _offsets(text: Array) -> Ints:
    digits = pc.replace_substring_regex(text, "[^0-9]", "")
    hhmm = _number(pc.if_else(pc.equal(digits, ""), "0", digits))
    west: Ints = numbers_of(pc.fill_null(pc.starts_with(text, "-"), False))
    return (hhmm // 100 * 60 + hhmm % 100) * _UNITS["M"] * (1 - 2 * west)
