"""Running forms of states: one value for each group, changed in place by more rows (source/accumulate.c).

A group is a code that stays its own while rows come. At last a running form gives the columns that `partial`
and `combine` of its state give, to the bit.
"""

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker_service.arrow import (
    Floats,
    Ints,
    Mask,
    from_numbers,
    int128_words,
    is_wide,
    numbers_of,
)
from worker_service.kernels.aggregates.declaration import Columns, Rows, Running, Start, Types
from worker_service.kernels.aggregates.order import LARGEST, doubles_of, has_ranks, sort_keys
from worker_service.kernels.aggregates.special import SPECIAL
from worker_service.kernels.exact.ranges import Range, range_of_doubles, range_of_ints, range_of_words
from worker_service.kernels.exact.totals import Totals
from worker_service.kernels.group_words import GroupWords, Kind, Step, Total
from worker_service.native import Library

Steps: TypeAlias = list[Step]


class Counts:
    """How many rows each group has."""

    nbytes = 0

    def __init__(self, words: GroupWords, total: Total | None = None) -> None:
        self._words, self._total = words, total or Total(1)

    def add(self, rows: Rows) -> Steps:
        return self.of_codes(rows.groups.codes)

    def of_codes(self, codes: Ints) -> Steps:
        return [Step(self._total, Kind.ROWS, codes)]

    def copied(self) -> "Counts":
        return Counts(self._words, self._words.copied(self._total))

    def of(self, groups: int) -> Ints:
        return self._words.numbers(self._total, groups)

    def columns(self, groups: int) -> Columns:
        return {"": pa.array(self.of(groups))}


def _range(native: Library, rows: Rows, at: int) -> tuple[Range | None, bool]:
    """The range of an input's values, doubles or int64, and whether all of them are finite."""
    if at not in rows.ranges:
        rows.ranges[at] = _range_of(native, numbers_of(rows.values[at]))
    found: tuple[Range | None, bool] = rows.ranges[at]
    return found


def _range_of(native: Library, numbers: NDArray[Any]) -> tuple[Range | None, bool]:
    if numbers.dtype.kind == "f":
        return range_of_doubles(native, numbers)
    return range_of_ints(native, numbers), True


class Sums:
    """The exact sum of one input's finite values, and how many values of each other kind there are."""

    nbytes = 0

    def __init__(self, words: GroupWords, at: int, of: "pa.DataType") -> None:
        self._words, self._at = words, at
        self._totals = Totals(words, whole=not pa.types.is_floating(of))
        self._special: dict[str, Counts] = {}

    def add(self, rows: Rows) -> Steps:
        values, codes = rows.values[self._at], rows.groups.codes
        if is_wide(values):
            words = int128_words(values)
            pairs = np.stack([words[0].view(np.int64), words[1]], axis=1)
            return self._steps(Kind.WORDS, codes, pairs, range_of_words(words[1]))
        native, numbers = self._words.native, numbers_of(values)
        found, finite = _range(native, rows, self._at)
        special: Steps = []
        if not finite:
            special = self._of_special(numbers, codes)
            kept = np.isfinite(numbers)
            numbers, codes = numbers[kept], codes[kept]
            found, _ = _range_of(native, numbers)
        kind = Kind.DOUBLES if numbers.dtype.kind == "f" else Kind.INTS
        return [*special, *self._steps(kind, codes, numbers, found)]

    def _steps(self, kind: Kind, codes: Ints, numbers: Ints | Floats, values: Range | None) -> Steps:
        if values is None:
            return []
        self._totals.prepare(values, len(codes))
        return [Step(self._totals.total, kind, codes, numbers, unit=self._totals.unit, high=values.high)]

    def _of_special(self, numbers: Floats, codes: Ints) -> Steps:
        """That count the values that are not finite."""
        steps: Steps = []
        for name, test in SPECIAL.items():
            if (special := test(numbers)).any():
                counts = self._special.setdefault(name, Counts(self._words))
                steps += counts.of_codes(codes[special])
        return steps

    def columns(self, groups: int) -> Columns:
        special = {name: pa.array(counts.of(groups)) for name, counts in self._special.items()}
        return {**limb_columns(self._totals, groups), **special}


def limb_columns(totals: Totals, groups: int) -> Columns:
    return {str(j): pa.array(digits) for j, digits in totals.digits(groups).items()}


class Products:
    """The exact sum of the products of two inputs, or of one's squares, where both are finite."""

    nbytes = 0

    def __init__(self, words: GroupWords, at: tuple[int, int], types: Types) -> None:
        self._native, self._at = words.native, at
        left, right = (pa.types.is_floating(of) for of in types)
        self._kind = Kind.PRODUCTS + 2 * left + right
        self._totals = Totals(words, whole=not (left or right))

    def add(self, rows: Rows) -> Steps:
        codes, totals = rows.groups.codes, self._totals
        left, right = (numbers_of(rows.values[at]) for at in self._at)
        (a, finite), (b, also) = (_range(self._native, rows, at) for at in self._at)
        if not (finite and also):
            kept = np.isfinite(left) & np.isfinite(right)
            left, right, codes = left[kept], right[kept], codes[kept]
            (a, _), (b, _) = (_range_of(self._native, numbers) for numbers in (left, right))
        if a is None or b is None:
            return []
        totals.prepare(Range(a.low + b.low, a.high + b.high), len(codes))
        return [Step(totals.total, self._kind, codes, left, right, totals.unit)]

    def columns(self, groups: int) -> Columns:
        return limb_columns(self._totals, groups)


class Extremes:
    """The smallest value of each group, or the largest if *flip* is -1.

    The total has the largest complement, without a sign: it begins with zero.
    """

    def __init__(self, words: GroupWords, of: "pa.DataType", flip: int) -> None:
        self._words, self._total, self._type = words, Total(1), of
        self._flip = flip ^ LARGEST
        self._reached: Mask = np.zeros(0, np.bool_)
        """Which groups have a value whose complement is zero."""

    @property
    def nbytes(self) -> int:
        return self._reached.nbytes

    def add(self, rows: Rows) -> Steps:
        keys, codes = sort_keys(rows.values[0]), rows.groups.codes
        if (last := keys == self._flip).any():
            if (missing := rows.groups.size - len(self._reached)) > 0:
                self._reached = np.append(self._reached, np.zeros(missing, np.bool_))
            self._reached[codes[last]] = True
        return [Step(self._total, Kind.LARGEST, codes, keys, unit=self._flip)]

    def columns(self, groups: int) -> Columns:
        found = self._words.numbers(self._total, groups)
        present = found != 0
        present[: len(self._reached)] |= self._reached[:groups]
        keys = found ^ self._flip
        numbers = doubles_of(keys) if pa.types.is_floating(self._type) else keys
        return {"": from_numbers(self._type, numbers, present)}


def start_count(words: GroupWords, _: Types) -> Running:
    return Counts(words)


def start_sum(at: int) -> Start:
    return lambda words, types: Sums(words, at, types[at])


def start_product(left: int, right: int) -> Start:
    """Wide decimals have no running form."""

    def start(words: GroupWords, types: Types) -> Running | None:
        pair = types[left], types[right]
        wide = any(pa.types.is_decimal(of) and of.precision > 18 for of in pair)
        return None if wide else Products(words, (left, right), pair)

    return start


def start_extreme(flip: int) -> Start:
    """Strings and wide decimals have no running form."""

    def start(words: GroupWords, types: Types) -> Running | None:
        return None if has_ranks(pa.nulls(0, types[0])) else Extremes(words, types[0], flip)

    return start
