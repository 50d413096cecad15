"""Running forms of states: one value for each group, changed in place by more rows (source/accumulate.c).

A group is a code that stays its own while rows come. At last a running form gives the columns that `partial`
and `combine` of its state give, to the bit.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker_service.arrow import (
    Floats,
    Ints,
    Mask,
    from_numbers,
    int128_words,
    is_string,
    is_wide,
    numbers_of,
)
from worker_service.kernels.aggregates.declaration import Columns, Rows, Running, Start, Types
from worker_service.kernels.aggregates.order import LARGEST, doubles_of, sort_keys
from worker_service.kernels.aggregates.special import SPECIAL
from worker_service.kernels.exact.totals import Range, Totals, range_of_doubles, range_of_ints, range_of_words
from worker_service.native import Library


class Counts:
    """How many rows each group has."""

    def __init__(self, native: Library) -> None:
        self._native = native
        self._counts: Ints = np.zeros(0, np.int64)

    @property
    def nbytes(self) -> int:
        return self._counts.nbytes

    def add(self, rows: Rows) -> None:
        self.add_codes(rows.groups.codes, rows.groups.size)

    def add_codes(self, codes: Ints, groups: int) -> None:
        self._counts = enlarged(self._counts, groups, 0)
        self._native.gm_add_counts(codes.ctypes.data, len(codes), self._counts.ctypes.data)

    def copied(self) -> "Counts":
        found = Counts(self._native)
        found._counts = self._counts.copy()
        return found

    def of(self, groups: int) -> Ints:
        return enlarged(self._counts, groups, 0)[:groups].copy()

    def columns(self, groups: int) -> Columns:
        return {"": pa.array(self.of(groups))}


def enlarged(numbers: Ints, size: int, start: int) -> Ints:
    """*numbers*, or a longer copy that goes on with *start*, with room for *size*."""
    if size <= len(numbers):
        return numbers
    return np.concatenate([numbers, np.full(size + size // 2 - len(numbers), start)])


def _range(native: Library, rows: Rows, at: int) -> tuple[Range | None, bool]:
    """The range of an input's values, doubles or int64, and whether all of them are finite."""
    if at not in rows.ranges:
        rows.ranges[at] = _range_of(native, numbers_of(rows.values[at]))
    found: tuple[Range | None, bool] = rows.ranges[at]
    return found


def _range_of(native: Library, numbers: NDArray[Any]) -> tuple[Range | None, bool]:
    return range_of_doubles(native, numbers) if numbers.dtype.kind == "f" else (range_of_ints(numbers), True)


class Sums:
    """The exact sum of one input's finite values, and how many values of each other kind there are."""

    def __init__(self, native: Library, at: int, of: "pa.DataType") -> None:
        self._native, self._at = native, at
        self._totals = Totals(native, whole=not pa.types.is_floating(of))
        self._special: dict[str, Counts] = {}

    @property
    def nbytes(self) -> int:
        return self._totals.nbytes + sum(counts.nbytes for counts in self._special.values())

    def add(self, rows: Rows) -> None:
        values, codes, groups = rows.values[self._at], rows.groups.codes, rows.groups.size
        if is_wide(values):
            words = int128_words(values)
            pairs = np.stack([words[0].view(np.int64), words[1]], axis=1)
            if (found := range_of_words(words[1])) is not None:
                self._totals.prepare(groups, found, len(codes))
                self._add(self._native.gm_add_words, codes, pairs)
            return
        numbers, (found, finite) = numbers_of(values), _range(self._native, rows, self._at)
        if not finite:
            kept = self._add_special(numbers, codes, groups)
            numbers, codes = numbers[kept], codes[kept]
            found, _ = _range_of(self._native, numbers)
        if found is None:
            return
        self._totals.prepare(groups, found, len(codes))
        if numbers.dtype.kind == "f":
            self._add(self._native.gm_add_doubles, codes, numbers, self._totals.unit)
        else:
            self._add(self._native.gm_add_ints, codes, numbers)

    def _add(self, function: Callable[..., None], codes: Ints, numbers: Ints | Floats, *unit: int) -> None:
        totals = self._totals
        function(codes.ctypes.data, numbers.ctypes.data, len(codes), *unit, totals.address, totals.width)

    def _add_special(self, numbers: Floats, codes: Ints, groups: int) -> Mask:
        """Where the values are finite; the others are counted."""
        for name, test in SPECIAL.items():
            if (special := test(numbers)).any():
                counts = self._special.setdefault(name, Counts(self._native))
                counts.add_codes(codes[special], groups)
        return np.isfinite(numbers)

    def columns(self, groups: int) -> Columns:
        special = {name: pa.array(counts.of(groups)) for name, counts in self._special.items()}
        return {**limb_columns(self._totals, groups), **special}


def limb_columns(totals: Totals, groups: int) -> Columns:
    return {str(j): pa.array(digits) for j, digits in totals.digits(groups).items()}


class Products:
    """The exact sum of the products of two inputs, or of one's squares, where both are finite."""

    def __init__(self, native: Library, at: tuple[int, int], types: Types) -> None:
        self._native, self._at = native, at
        floating = (pa.types.is_floating(types[0]), pa.types.is_floating(types[1]))
        self._floating = floating
        self._totals = Totals(native, whole=not any(floating))

    @property
    def nbytes(self) -> int:
        return self._totals.nbytes

    def add(self, rows: Rows) -> None:
        codes, totals = rows.groups.codes, self._totals
        pair = [numbers_of(rows.values[at]) for at in self._at]
        (a, finite), (b, also) = (_range(self._native, rows, at) for at in self._at)
        if not (finite and also):
            kept = np.isfinite(pair[0]) & np.isfinite(pair[1])
            pair, codes = [numbers[kept] for numbers in pair], codes[kept]
            (a, _), (b, _) = (_range_of(self._native, numbers) for numbers in pair)
        if a is None or b is None:
            return
        totals.prepare(rows.groups.size, Range(a.low + b.low, a.high + b.high), len(codes))
        self._native.gm_add_products(
            codes.ctypes.data,
            *(numbers.ctypes.data for numbers in pair),
            *self._floating,
            len(codes),
            totals.unit,
            totals.address,
            totals.width,
        )

    def columns(self, groups: int) -> Columns:
        return limb_columns(self._totals, groups)


class Extremes:
    """The smallest value of each group, or the largest if *flip* is -1."""

    def __init__(self, native: Library, of: "pa.DataType", flip: int) -> None:
        self._native, self._type, self._flip = native, of, flip
        self._least: Ints = np.zeros(0, np.int64)
        self._reached: Mask = np.zeros(0, np.bool_)
        """Which groups have a value that looks like that of a group without values."""

    @property
    def nbytes(self) -> int:
        return self._least.nbytes + self._reached.nbytes

    def add(self, rows: Rows) -> None:
        keys, codes, groups = sort_keys(rows.values[0]), rows.groups.codes, rows.groups.size
        self._least = enlarged(self._least, groups, LARGEST)
        self._native.gm_take_least(
            codes.ctypes.data, keys.ctypes.data, len(keys), self._flip, self._least.ctypes.data
        )
        if (last := keys == LARGEST ^ self._flip).any():
            self._reached = np.append(self._reached, np.zeros(max(0, groups - len(self._reached)), np.bool_))
            self._reached[codes[last]] = True

    def columns(self, groups: int) -> Columns:
        least = enlarged(self._least, groups, LARGEST)[:groups]
        present = least != LARGEST
        present[: len(self._reached)] |= self._reached[:groups]
        keys = least ^ self._flip
        numbers = doubles_of(keys) if pa.types.is_floating(self._type) else keys
        return {"": from_numbers(self._type, numbers, present)}


def start_count(native: Library, _: Types) -> Running:
    return Counts(native)


def start_sum(at: int) -> Start:
    return lambda native, types: Sums(native, at, types[at])


def start_product(left: int, right: int) -> Start:
    """Wide decimals have no running form."""

    def start(native: Library, types: Types) -> Running | None:
        pair = types[left], types[right]
        wide = any(pa.types.is_decimal(of) and of.precision > 18 for of in pair)
        return None if wide else Products(native, (left, right), pair)

    return start


def start_extreme(flip: int) -> Start:
    """Strings and wide decimals have no running form."""

    def start(native: Library, types: Types) -> Running | None:
        none = pa.nulls(0, types[0])
        return None if is_string(none) or is_wide(none) else Extremes(native, types[0], flip)

    return start
