"""Functions of the exact sums of two columns, over the rows where both are present: cov, corr.

Each result is rounded once (see `exact.rounding`).
"""

import numpy as np
import pyarrow as pa

from worker_service.arrow import Array, Floats, Mask, from_numbers
from worker_service.kernels.aggregates.declaration import Combined, Kernel, State, keeps
from worker_service.kernels.aggregates.moments import co_moment, scale_of
from worker_service.kernels.aggregates.special import SPECIAL
from worker_service.kernels.aggregates.sums import (
    COUNT,
    CROSS,
    SECOND_SQUARES,
    SECOND_SUM,
    SQUARES,
    SUM,
    counts_of,
    has_special,
    limbs_of,
)
from worker_service.kernels.exact.limbs import Limbs, nonzero
from worker_service.kernels.exact.rounding import correlation, denominator, quotient


def _moment(combined: Combined, products: State, left: State, right: State) -> Limbs:
    sums = (limbs_of(combined.states[state]) for state in (products, left, right))
    return co_moment(counts_of(combined), *sums)


def _not_finite(combined: Combined) -> Mask:
    """Which groups have a NaN or an infinity in one of the columns."""
    masks = [
        has_special(combined.states[state], len(combined.rows), name)
        for state in (SUM, SECOND_SUM)
        for name in SPECIAL
    ]
    return np.array(np.logical_or.reduce(masks))


def _result(combined: Combined, numbers: Floats, present: Mask) -> Array:
    numbers[_not_finite(combined)] = np.nan
    return from_numbers(pa.float64(), numbers, present)


def _finalize_cov(combined: Combined) -> Array:
    counts = counts_of(combined)
    by = denominator(
        [np.maximum(counts, 1), np.maximum(counts - 1, 1)], scale_of(combined, 0) * scale_of(combined, 1)
    )
    return _result(combined, quotient(_moment(combined, CROSS, SUM, SECOND_SUM), by), counts > 1)


def _finalize_corr(combined: Combined) -> Array:
    """Null where one of the columns does not vary; where a value is not finite, that is not known: NaN."""
    counts = counts_of(combined)
    left = _moment(combined, SQUARES, SUM, SUM)
    right = _moment(combined, SECOND_SQUARES, SECOND_SUM, SECOND_SUM)
    numbers = correlation(_moment(combined, CROSS, SUM, SECOND_SUM), left, right, len(counts))
    varies = nonzero(left, len(counts)) & nonzero(right, len(counts))
    return _result(combined, numbers, (counts > 1) & (varies | _not_finite(combined)))


_SUMS = (COUNT, SUM, SECOND_SUM, CROSS)

PAIRS = (
    Kernel(name="cov", states=keeps(*_SUMS), finalize=_finalize_cov),
    Kernel(name="corr", states=keeps(*_SUMS, SQUARES, SECOND_SQUARES), finalize=_finalize_corr),
)
