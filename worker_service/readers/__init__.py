"""Readers: a dataset as typed Arrow tables of the columns in use, cut into extents that are planned once.

`plan` settles one schema and the extents of every chunk. `batches` yields the records of one extent, good and
bad. All are synchronous and deterministic. They depend on the bytes of the files and on the
options, never on a clock, a thread or another chunk.
"""

from worker_service.readers.batch import BadRow, Batch, Fault
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.damage import damage_first
from worker_service.readers.misfits import misfits
from worker_service.readers.plan import PlannedDataset, plan
from worker_service.readers.read import batches

__all__ = [
    "BadRow",
    "Batch",
    "Fault",
    "PlannedDataset",
    "SourceFile",
    "batches",
    "damage_first",
    "misfits",
    "plan",
]
