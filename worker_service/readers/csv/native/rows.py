"""Rows taken out of the columns that `columns.values` makes, and others put into them."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker_service.arrow import Array, Ints


def parted(rows: Ints, size: int) -> list[tuple[int, int]]:
    """The spans [start, stop) between the *rows*, ascending, of an array of *size*."""
    bounds = [-1, *rows.tolist(), size]
    return [(start + 1, stop) for start, stop in pairwise(bounds)]


def left_out(values: npt.NDArray[Any], rows: Ints) -> npt.NDArray[Any]:
    """A copy of *values* without those at *rows*, ascending: cheap for a few."""
    return np.concatenate([values[start:stop] for start, stop in parted(rows, values.size)])


def replaced(array: Array, rows: Ints, others: Array) -> Array:
    """*array* with *others* at *rows*, ascending."""
    if not rows.size:
        return array
    first, *behind = parted(rows, len(array))
    parts = [array.slice(first[0], first[1] - first[0])]
    for i, (start, stop) in enumerate(behind):
        parts += [others.slice(i, 1), array.slice(start, stop - start)]
    return pa.concat_arrays(parts)


def dropped(array: Array, rows: Ints) -> Array:
    """*array* without *rows*, ascending. It takes the memory of *array*, which means nothing then."""
    if not rows.size:
        return array
    kind, left = array.type, len(array) - rows.size
    bitmap, values, *texts = array.buffers()
    if array.offset or pa.types.is_boolean(kind) or not all(each.is_mutable for each in (values, *texts)):
        keep = np.ones(len(array), np.bool_)
        keep[rows] = False
        return array.filter(pa.array(keep))
    spans, nulls = parted(rows, len(array)), 0
    if bitmap is not None:
        null = np.unpackbits(np.frombuffer(bitmap, np.uint8), count=len(array), bitorder="little") == 0
        nulls = array.null_count - int(np.count_nonzero(null[rows]))
        bitmap = pa.py_buffer(np.packbits(~left_out(null, rows), bitorder="little")) if nulls else None
    if texts:
        _drop_texts(np.frombuffer(values, np.int32), np.frombuffer(texts[0], np.uint8), spans)
    else:
        width = kind.bit_width // 8
        _close(np.frombuffer(values, np.uint8), [(start * width, stop * width) for start, stop in spans])
    return pa.Array.from_buffers(kind, left, [bitmap, values, *texts], nulls)


def _close(values: npt.NDArray[np.uint8], spans: list[tuple[int, int]]) -> None:
    """Move the *spans* of *values* together; numpy lets source and target overlap."""
    at = 0
    for start, stop in spans:
        if start != at:
            values[at : at + stop - start] = values[start:stop]
        at += stop - start


def _drop_texts(
    offsets: npt.NDArray[np.int32], octets: npt.NDArray[np.uint8], spans: list[tuple[int, int]]
) -> None:
    """The same for texts: text i is octets[offsets[i] : offsets[i + 1]], and the first one begins at 0."""
    _close(octets, [(int(offsets[start]), int(offsets[stop])) for start, stop in spans])
    at = end = 0
    for start, stop in spans:
        first, last = int(offsets[start]), int(offsets[stop])
        if start != at:
            np.subtract(offsets[start : stop + 1], first - end, out=offsets[at : at + stop - start + 1])
        at, end = at + stop - start, end + last - first
