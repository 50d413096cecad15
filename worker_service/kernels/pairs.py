"""What is made of the exact sums of two columns, over the rows where both are present: cov, corr.

Each is rounded once.
"""

import numpy as np
import pyarrow as pa

from worker_service.kernels.arrays import Array, Floats, Ints, Mask, build, raw
from worker_service.kernels.basic import COUNT
from worker_service.kernels.declaration import Ending, Kernel, keeps
from worker_service.kernels.exact import Limbs, nonzero
from worker_service.kernels.moments import co_moment, scale_of
from worker_service.kernels.rounding import correlation, denominator, quotient
from worker_service.kernels.sums import (
    CROSS,
    SECOND_SQUARES,
    SECOND_SUM,
    SPECIAL,
    SQUARES,
    SUM,
    limbs_of,
    of_special,
)


def _moment(ending: Ending, products: str, left: str, right: str) -> Limbs:
    found = (limbs_of(ending.states[name]) for name in (products, left, right))
    return co_moment(_counts(ending), *found)


def _counts(ending: Ending) -> Ints:
    counts: Ints = raw(ending.states["n"][""])
    return counts


def _is_special(ending: Ending) -> Mask:
    size = len(ending.rows)
    return np.array(
        np.logical_or.reduce(
            [of_special(ending.states[state], size, name) for state in ("s", "s2") for name in SPECIAL]
        )
    )


def _result(ending: Ending, numbers: Floats, present: Mask) -> Array:
    """NaN where a value was not finite."""
    numbers[_is_special(ending)] = np.nan
    return build(pa.float64(), numbers, present)


def _end_cov(ending: Ending) -> Array:
    counts = _counts(ending)
    by = denominator(
        [np.maximum(counts, 1), np.maximum(counts - 1, 1)], scale_of(ending, 0) * scale_of(ending, 1)
    )
    return _result(ending, quotient(_moment(ending, "p", "s", "s2"), by), counts > 1)


def _end_corr(ending: Ending) -> Array:
    """Null where one of the columns does not vary, unless a value that is not finite is in the way of knowing."""
    counts = _counts(ending)
    left, right = _moment(ending, "q", "s", "s"), _moment(ending, "q2", "s2", "s2")
    numbers = correlation(_moment(ending, "p", "s", "s2"), left, right, len(counts))
    varies = nonzero(left, len(counts)) & nonzero(right, len(counts))
    return _result(ending, numbers, (counts > 1) & (varies | _is_special(ending)))


_SUMS = (COUNT, SUM, SECOND_SUM, CROSS)

PAIRS = (
    Kernel(name="cov", states=keeps(*_SUMS), finalize=_end_cov),
    Kernel(name="corr", states=keeps(*_SUMS, SQUARES, SECOND_SQUARES), finalize=_end_corr),
)
