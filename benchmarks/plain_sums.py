"""A child process that computes sum, var and std of doubles with plain float additions, as others do.

The variance comes from two moments. Only benchmarks.exact_cost runs it; everything else is the product's.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from worker_service.arrow import Array, Floats, from_numbers, numbers_of
from worker_service.child.__main__ import main
from worker_service.kernels.aggregates.declaration import Columns, Combined, Kernel, Rows, State, keeps
from worker_service.kernels.aggregates.sums import COUNT, counts_of
from worker_service.kernels.aggregates.table import KERNELS
from worker_service.kernels.grouping import Groups

RUN_BY = ("exact_cost",)


def _added(numbers: Floats, groups: Groups) -> Columns:
    return {"": pa.array(np.bincount(groups.codes, numbers, groups.size))}


def _moment(name: str, terms: Callable[[Floats], Floats]) -> State:
    def partial(rows: Rows) -> Columns:
        return _added(terms(numbers_of(rows.values[0])), rows.groups)

    def combine(columns: Columns, groups: Groups) -> Columns:
        return _added(numbers_of(columns[""]), groups)

    return State(name=name, columns={"": "float64"}, identity=0, partial=partial, combine=combine)


SUM, SQUARES = _moment("s", lambda x: x), _moment("q", lambda x: x * x)


def _finalize_sum(combined: Combined) -> Array:
    return from_numbers(pa.float64(), numbers_of(combined.column(SUM)), counts_of(combined) > 0)


def _spread(finish: Callable[[Floats], Floats]) -> Callable[[Combined], Array]:
    def finalize(combined: Combined) -> Array:
        n, ddof = counts_of(combined), combined.aggregate.ddof
        total, squares = (numbers_of(combined.column(state)) for state in (SUM, SQUARES))
        variance = (squares - total * total / n) / np.maximum(n - ddof, 1)
        return from_numbers(pa.float64(), finish(variance), n > ddof)

    return finalize


PLAIN = (
    Kernel(name="sum", states=keeps(COUNT, SUM), finalize=_finalize_sum),
    Kernel(name="var", states=keeps(COUNT, SUM, SQUARES), finalize=_spread(lambda variance: variance)),
    Kernel(name="std", states=keeps(COUNT, SUM, SQUARES), finalize=_spread(np.sqrt)),
)

if __name__ == "__main__":
    KERNELS.update({kernel.name: kernel for kernel in PLAIN})
    main()
