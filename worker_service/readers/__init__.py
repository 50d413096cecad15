"""Readers: a dataset as typed Arrow frames of just the columns in use, cut into extents that are planned once.

`plan` settles one schema and the extents of every chunk; `read` yields the batches of one extent. Both are
plain, synchronous and deterministic: they depend on the bytes of the files and on the options, never on a
clock, a thread or another chunk.
"""

from worker_service.readers.culprits import culprits
from worker_service.readers.files import Extent, Planned, SourceFile
from worker_service.readers.plan import plan
from worker_service.readers.read import read
from worker_service.readers.records import Tally

__all__ = ["Extent", "Planned", "SourceFile", "Tally", "culprits", "plan", "read"]
