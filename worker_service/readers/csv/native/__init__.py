"""Typed columns straight from the bytes of a block, by the native library; the plain path is `sift`."""

from worker_service.readers.csv.native.batches import batches

__all__ = ["batches"]
