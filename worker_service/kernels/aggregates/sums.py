"""States of power sums: the count, and the exact sums of values and of products of two values.

A sum is kept as limbs (see `exact.limbs`), one int32 column for each grid index. NaN and infinities have no
limbs: how many of them there are is counted in columns of their own.
"""

import numpy as np
import pyarrow as pa

from worker_service.arrow import Array, Ints, Mask, int128_words, is_wide, numbers_of
from worker_service.kernels.aggregates.declaration import Columns, Combined, Rows, State
from worker_service.kernels.aggregates.running import start_count, start_product, start_sum
from worker_service.kernels.aggregates.special import SPECIAL
from worker_service.kernels.exact.limbs import Limbs, carry
from worker_service.kernels.exact.summation import (
    Parts,
    factors,
    quarters,
    sum_parts,
    sum_products,
    sums_by_group,
)
from worker_service.kernels.grouping import Groups

_DIGITS = {"<j>": "int32"}


def _count(rows: Rows) -> Columns:
    return {"": pa.array(rows.groups.counts)}


def _add_counts(columns: Columns, groups: Groups) -> Columns:
    return {"": pa.array(sums_by_group(numbers_of(columns[""]), groups.codes, groups.size))}


def counts_of(combined: Combined) -> Ints:
    counts: Ints = numbers_of(combined.column(COUNT))
    return counts


def limbs_of(columns: Columns) -> Limbs:
    return {int(suffix): numbers_of(column) for suffix, column in columns.items() if suffix not in SPECIAL}


def has_special(columns: Columns, size: int, name: str) -> Mask:
    """Which groups have a value of the kind *name* in SPECIAL in their sum."""
    return numbers_of(columns[name]) > 0 if name in columns else np.zeros(size, np.bool_)


def _sums(rows: Rows, at: int) -> Columns:
    """The sum of one input's finite values, and how many there are of each kind in SPECIAL."""
    parts, codes, size = parts_of(rows.values[at]), rows.groups.codes, rows.groups.size
    finite = _finite(parts)
    if finite is None:
        return _columns(sum_parts(parts, codes, size))
    special = {name: np.bincount(codes[test(parts[0])], minlength=size) for name, test in SPECIAL.items()}
    counted = {name: pa.array(counts.astype(np.int64)) for name, counts in special.items() if counts.any()}
    return {**_columns(sum_parts(_only(parts, finite), codes[finite], size)), **counted}


def _products(rows: Rows, left: int, right: int) -> Columns:
    """The sum of the products of two inputs, or of one's squares, over the rows where both are finite."""
    found = {at: parts_of(rows.values[at]) for at in (left, right)}
    codes, masks = rows.groups.codes, [mask for mask in map(_finite, found.values()) if mask is not None]
    if masks:
        finite = np.logical_and.reduce(masks)
        found, codes = {at: _only(parts, finite) for at, parts in found.items()}, codes[finite]
    small = {at: _small(parts) for at, parts in found.items()}
    return _columns(sum_products(small[left], small[right], codes, rows.groups.size))


def parts_of(values: Array) -> Parts:
    """The scaled integers of decimals; other numbers as they are."""
    return quarters(*int128_words(values)) if is_wide(values) else {0: numbers_of(values)}


def _small(parts: Parts) -> Parts:
    """Parts that may be multiplied; those of doubles and of wide decimals may as they are."""
    return (
        factors(parts[0].astype(np.int64, copy=False))
        if set(parts) == {0} and parts[0].dtype.kind == "i"
        else parts
    )


def _finite(parts: Parts) -> Mask | None:
    """Which values are finite; None when all are."""
    numbers = parts.get(0)
    if (
        numbers is None
        or numbers.dtype.kind != "f"
        or not len(numbers)
        or (np.isfinite(numbers.max()) and np.isfinite(numbers.min()))
    ):
        return None
    return np.isfinite(numbers)


def _only(parts: Parts, rows: Mask) -> Parts:
    return {j: part[rows] for j, part in parts.items()}


def _columns(limbs: Limbs) -> Columns:
    return {str(j): pa.array(digits.astype(np.int32)) for j, digits in limbs.items()}


def _add_sums(columns: Columns, groups: Groups) -> Columns:
    totals = {
        suffix: sums_by_group(numbers_of(column), groups.codes, groups.size)
        for suffix, column in columns.items()
    }
    special = {suffix: pa.array(total) for suffix, total in totals.items() if suffix in SPECIAL}
    return {
        **_columns(carry({int(suffix): total for suffix, total in totals.items() if suffix not in SPECIAL})),
        **special,
    }


def _sum(name: str, at: int) -> State:
    columns = _DIGITS | dict.fromkeys(SPECIAL, "int64")
    return State(
        name=name,
        columns=columns,
        identity=0,
        partial=lambda rows: _sums(rows, at),
        combine=_add_sums,
        running=start_sum(at),
    )


def _product(name: str, left: int, right: int) -> State:
    return State(
        name=name,
        columns=_DIGITS,
        identity=0,
        partial=lambda rows: _products(rows, left, right),
        combine=_add_sums,
        running=start_product(left, right),
    )


COUNT = State(
    name="n", columns={"": "int64"}, identity=0, partial=_count, combine=_add_counts, running=start_count
)
SUM, SQUARES = _sum("s", 0), _product("q", 0, 0)
SECOND_SUM, SECOND_SQUARES, CROSS = _sum("s2", 1), _product("q2", 1, 1), _product("p", 0, 1)
