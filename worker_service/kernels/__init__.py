"""Group-by aggregation as pure functions over numpy, pandas and pyarrow: no I/O, no clock.

The rows that a query picks of a batch, with the columns that it makes (`prepare`), become states (`partial`).
States of many chunks become fewer (`combine`), and the states of all become result rows (`finalize`). `Fold`
does `partial` and `combine` over a stream of frames. States travel between processes as partials (`encode`,
`decode`).
"""

from worker_service.kernels.aggregates.table import KERNELS
from worker_service.kernels.engine.codec import Partial, decode, encode, in_buckets
from worker_service.kernels.engine.combine import PendingStates, combine
from worker_service.kernels.engine.copy_binary import to_copy_binary
from worker_service.kernels.engine.copy_csv import to_copy_csv
from worker_service.kernels.engine.finalize import Finalized, finalize
from worker_service.kernels.engine.fold import Fold
from worker_service.kernels.engine.partial import partial
from worker_service.kernels.engine.prepare import Prepared, check_patterns, prepare
from worker_service.kernels.engine.states import rows_in
from worker_service.kernels.hashing import GLOBAL_BUCKET

__all__ = [
    "GLOBAL_BUCKET",
    "KERNELS",
    "Finalized",
    "Fold",
    "Partial",
    "PendingStates",
    "Prepared",
    "check_patterns",
    "combine",
    "decode",
    "encode",
    "finalize",
    "in_buckets",
    "partial",
    "prepare",
    "rows_in",
    "to_copy_binary",
    "to_copy_csv",
]
