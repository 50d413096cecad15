"""A child process with plain float additions, and a variance from two moments.

These are the sum, var and std of doubles that other engines compute. benchmarks.exact_cost swaps it in; all
else is the product's.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from worker_service.child.__main__ import main
from worker_service.kernels.arrays import Array, Floats, build, raw
from worker_service.kernels.basic import COUNT
from worker_service.kernels.declaration import Columns, Ending, Kernel, Rows, State, keeps
from worker_service.kernels.grouping import Groups
from worker_service.kernels.table import KERNELS

RUN_BY = ("exact_cost",)


def _added(numbers: Floats, groups: Groups) -> Columns:
    return {"": pa.array(np.bincount(groups.codes, numbers, groups.size))}


def _moment(name: str, terms: Callable[[Floats], Floats]) -> State:
    def partial(rows: Rows) -> Columns:
        return _added(terms(raw(rows.values[0])), rows.groups)

    def combine(columns: Columns, groups: Groups) -> Columns:
        return _added(raw(columns[""]), groups)

    return State(name=name, columns={"": "float64"}, identity=0, partial=partial, combine=combine)


SUM, SQUARES = _moment("s", lambda x: x), _moment("q", lambda x: x * x)


def _end_sum(ending: Ending) -> Array:
    return build(pa.float64(), raw(ending.states["s"][""]), raw(ending.states["n"][""]) > 0)


def _end_spread(finish: Callable[[Floats], Floats]) -> Callable[[Ending], Array]:
    def end(ending: Ending) -> Array:
        n, ddof = raw(ending.states["n"][""]), ending.aggregate.ddof
        total, squares = (raw(ending.states[name][""]) for name in ("s", "q"))
        return build(pa.float64(), finish((squares - total * total / n) / np.maximum(n - ddof, 1)), n > ddof)

    return end


PLAIN = (
    Kernel(name="sum", states=keeps(COUNT, SUM), finalize=_end_sum),
    Kernel(name="var", states=keeps(COUNT, SUM, SQUARES), finalize=_end_spread(lambda variance: variance)),
    Kernel(name="std", states=keeps(COUNT, SUM, SQUARES), finalize=_end_spread(np.sqrt)),
)

if __name__ == "__main__":
    KERNELS.update({kernel.name: kernel for kernel in PLAIN})
    main()
