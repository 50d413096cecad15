"""The aggregates, as pure functions over numpy, pandas and pyarrow: partial -> combine -> finalize.

No I/O, no clock.
"""

from worker_service.kernels.codec import Piece, decode, encode, in_buckets
from worker_service.kernels.copy import to_copy_csv
from worker_service.kernels.finalize import Finalized, finalize
from worker_service.kernels.hashing import GLOBAL_BUCKET
from worker_service.kernels.partials import Fold, Pending, combine, partial, rows_in
from worker_service.kernels.table import KERNELS

__all__ = [
    "GLOBAL_BUCKET",
    "KERNELS",
    "Finalized",
    "Fold",
    "Pending",
    "Piece",
    "combine",
    "decode",
    "encode",
    "finalize",
    "in_buckets",
    "partial",
    "rows_in",
    "to_copy_csv",
]
