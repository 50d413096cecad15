"""The aggregates, as pure functions over numpy, pandas and pyarrow: partial -> combine -> finalize. No I/O, no clock."""

from worker_service.kernels.codec import STATE_VERSION, Piece, decode, encode
from worker_service.kernels.copy import to_copy_csv
from worker_service.kernels.digest import result_digest
from worker_service.kernels.finalize import Finalized, finalize
from worker_service.kernels.hashing import GLOBAL_BUCKET
from worker_service.kernels.partials import Fold, combine, partial
from worker_service.kernels.table import KERNELS

__all__ = [
    "GLOBAL_BUCKET",
    "KERNELS",
    "STATE_VERSION",
    "Finalized",
    "Fold",
    "Piece",
    "combine",
    "decode",
    "encode",
    "finalize",
    "partial",
    "result_digest",
    "to_copy_csv",
]
