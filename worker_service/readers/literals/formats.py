"""Dates and times in the patterns that `types` gives: the first pattern that fits a text counts.

A text of the pattern's usual width, with two digits for a day and so on, is read by its bytes. The others are
matched with a regular expression, each distinct one once. A text that both can read has one value.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.patterns import MONTHS, expression, parts
from worker_service.arrow import Array, Ints, Mask, numbers_of, string_bytes

_CENTURY = 69
"""Years of two digits are 1969 to 2068, as in POSIX."""
_UNITS = {"H": 3_600_000_000, "M": 60_000_000, "S": 1_000_000, "f": 1}
_DAY = 86_400_000_000
_RANGES = {
    "Y": (4, 0, 9999), "y": (2, 0, 99), "m": (2, 1, 12), "d": (2, 1, 31), "j": (3, 1, 366), "H": (2, 0, 23),
    "M": (2, 0, 59), "S": (2, 0, 59), "f": (6, 0, 999_999),
}  # fmt: skip
"""Digits of a directive of usual width, and the least and the largest number."""
_NEW_YEARS = (np.arange(10_000) - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
"""The first day of every year, in days from 1970-01-01."""
_LEAP = np.append(np.diff(_NEW_YEARS) - 365, 0)
_LENGTHS = np.array(
    [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
)
"""Days of the months, of a common and of a leap year."""
_BEFORE = np.concatenate([np.cumsum(year) - year for year in (_LENGTHS[:12], _LENGTHS[12:])])
_MONTHS = pa.array([name[:3] for name in MONTHS])

Numbers = Mapping[str, Ints]
"""The number of each directive. Names of months are `m`; `p` is 0 or 1; `z` is in microseconds."""


@dataclass(frozen=True, slots=True)
class Formatted:
    """`local` are the times as written, in microseconds since 1970, where they `fit` a pattern.

    `offsets` are the microseconds to subtract from them, where `zoned`.
    """

    local: Ints
    fit: Mask
    offsets: Ints
    zoned: Mask

    def at(self, rows: Ints) -> "Formatted":
        return Formatted(self.local[rows], self.fit[rows], self.offsets[rows], self.zoned[rows])


def formatted(text: Array, patterns: Sequence[str]) -> Formatted:
    size = len(text)
    whole = _nothing(size)
    rest: Ints = np.flatnonzero(text.is_valid().to_numpy(zero_copy_only=False))
    for pattern in patterns:
        for read in (_by_bytes, _by_words):
            if not rest.size:
                return whole
            found = read(text if rest.size == size else text.take(pa.array(rest)), pattern)
            whole.local[rest], whole.fit[rest] = found.local, found.fit
            whole.offsets[rest], whole.zoned[rest] = found.offsets, found.zoned
            rest = rest[~found.fit]
    return whole


def _by_words(text: Array, pattern: str) -> Formatted:
    words = text.dictionary_encode()
    matched = pc.extract_regex(words.dictionary, expression(pattern))
    fit = np.asarray(matched.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    numbers = {
        "m" if name in "bB" else name: _SPELLED.get(name, _digits)(pc.struct_field(matched, name))
        for name, _ in parts(pattern)
        if name and name not in "aA"
    }
    return _moments(numbers, fit).at(numbers_of(words.indices))


def _digits(text: Array) -> Ints:
    """The integers that *text* spells, with leading zeros and spaces; 0 where it is null."""
    found: Ints = numbers_of(pc.fill_null(pc.cast(pc.utf8_ltrim_whitespace(text), pa.int64()), 0))
    return found


def _month(text: Array) -> Ints:
    index = pc.index_in(pc.utf8_slice_codeunits(pc.utf8_lower(text), 0, 3), value_set=_MONTHS)
    found: Ints = numbers_of(pc.fill_null(index, 0)) + 1
    return found


def _afternoon(text: Array) -> Ints:
    found: Ints = numbers_of(pc.fill_null(pc.equal(pc.utf8_lower(text), "pm"), False))
    return found


def _offset(text: Array) -> Ints:
    digits = pc.replace_substring_regex(text, "[^0-9]", "")
    hhmm = _digits(pc.if_else(pc.equal(digits, ""), "0", digits))
    west: Ints = numbers_of(pc.fill_null(pc.starts_with(text, "-"), False))
    return (hhmm // 100 * 60 + hhmm % 100) * _UNITS["M"] * (1 - 2 * west)


_SPELLED: dict[str, Callable[[Array], Ints]] = {
    "b": _month,
    "B": _month,
    "p": _afternoon,
    "f": lambda text: _digits(pc.utf8_rpad(text, 6, "0")),
    "z": _offset,
}
"""Directives that are not just an integer."""


@lru_cache(maxsize=64)
def _layout(pattern: str) -> tuple[list[tuple[str, int, bytes]], int] | None:
    """Each part of a text of usual width with its first byte: (directive, first byte, literal text).

    With the number of bytes in all; None if some part has no usual width.
    """
    layout, width = [], 0
    for name, literal in parts(pattern):
        if name not in {"", *_RANGES} or not literal.isascii() or (literal.isspace() and literal != " "):
            return None
        layout.append((name, width, literal.encode()))
        width += _RANGES[name][0] if name else len(literal)
    return layout, width


def _by_bytes(text: Array, pattern: str) -> Formatted:
    """Nothing fits a pattern without a usual width."""
    bounds, octets = string_bytes(text)
    known = _layout(pattern)
    layout, width = known or ([], 0)
    fit: Mask = (np.diff(bounds) == width) & (known is not None)
    if not fit.any():
        return _nothing(len(text))
    starts = bounds[:-1][fit]
    together = octets[bounds[0] : bounds[-1]] if fit.all() else octets[starts[:, None] + np.arange(width)]
    table = np.ascontiguousarray(together.reshape(len(starts), width).T)
    good = np.ones(table.shape[1], np.bool_)
    numbers: dict[str, Ints] = {}
    for name, start, literal in layout:
        if name:
            digits, least, most = _RANGES[name]
            number, decimal = _number(table[start : start + digits])
            decimal &= (number >= least) & (number <= most)
            numbers[name] = np.where(decimal, number, least)
            good &= decimal
        for i, octet in enumerate(literal):
            good &= table[start + i] == octet
    found = _moments(numbers, good)
    whole = _nothing(len(text))
    whole.local[fit], whole.fit[fit] = found.local, found.fit
    return whole


def _number(digits: npt.NDArray[np.uint8]) -> tuple[Ints, Mask]:
    """The numbers, and which of them have digits only."""
    values = digits - np.uint8(ord("0"))  # wraps around for bytes before the digits
    total: Ints = values[0].astype(np.int64)
    for place in values[1:]:
        total = total * 10 + place
    decimal: Mask = np.logical_and.reduce(values <= 9, axis=0)
    return total, decimal


def _nothing(rows: int) -> Formatted:
    return Formatted(
        np.zeros(rows, np.int64), np.zeros(rows, np.bool_), np.zeros(rows, np.int64), np.zeros(rows, np.bool_)
    )


def _moments(numbers: Numbers, fit: Mask) -> Formatted:
    """Of the rows that *fit* a pattern those fit that are real dates."""
    years = numbers["Y"] if "Y" in numbers else numbers["y"] + np.where(numbers["y"] < _CENTURY, 2000, 1900)
    leap, local = _LEAP[years], _NEW_YEARS[years]
    if "j" in numbers:
        days, length = numbers["j"], 365 + leap
    else:
        month = numbers["m"] - 1 + 12 * leap
        days, length = numbers["d"], _LENGTHS[month]
        local = local + _BEFORE[month]
    real = fit & (years > 0) & (days <= length)
    local = local + days - 1
    local *= _DAY
    for name, microseconds in _UNITS.items():
        if name in numbers:
            local += numbers[name] * microseconds
    if "I" in numbers:
        local += (numbers["I"] % 12 + 12 * numbers["p"]) * _UNITS["H"]
    zoned = real if "z" in numbers else np.zeros(len(real), np.bool_)
    return Formatted(local, real, numbers.get("z", np.zeros(len(real), np.int64)), zoned)
