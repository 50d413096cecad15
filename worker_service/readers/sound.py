"""Checks of batches that Arrow has decoded. It trusts the indexes, the offsets and the text of a file."""

import numpy as np
import pyarrow as pa

from worker_service.arrow import Array, string_bytes

_ASCII = 127


def check(batch: pa.RecordBatch) -> None:
    """As `batch.validate(full=True)`, but in a tenth of its time for the two most common kinds of columns.

    Raises pa.ArrowInvalid for an index outside its dictionary, text that is not UTF-8, a decimal too long.
    """
    for column in batch.columns:
        column.validate()
        if isinstance(column, pa.DictionaryArray):
            column.dictionary.validate(full=True)
            sound = _counts_nulls(column) and _in_dictionary(column)
        else:
            sound = pa.types.is_string(column.type) and _counts_nulls(column) and _is_ascii(column)
        if not sound:
            column.validate(full=True)


def _counts_nulls(column: Array) -> bool:
    """Whether it has as many nulls as it says."""
    bits = column.buffers()[0]
    if bits is None:
        return not column.null_count
    present = pa.Array.from_buffers(pa.bool_(), len(column), [None, bits], offset=column.offset)
    return bool(len(column) - present.true_count == column.null_count)


def _in_dictionary(column: "pa.DictionaryArray[pa.Scalar, pa.Scalar]") -> bool:
    """Whether all indexes are within the dictionary. False also if indexes cannot have its last word."""
    indices, words = column.indices, len(column.dictionary)
    width = indices.type.bit_width // 8
    if not len(indices) or words > 1 << (8 * width - 1):
        return not len(indices)
    found = np.frombuffer(indices.buffers()[1], f"<u{width}", len(indices), indices.offset * width)
    return int(found.max()) < words  # a negative index is large without its sign


def _is_ascii(column: Array) -> bool:
    """Whether the strings lie in order in their bytes, and these are ASCII."""
    bounds, data = string_bytes(column)
    inside = data[bounds[0] : bounds[-1]]
    return bool(inside.max(initial=0) <= _ASCII and (bounds[1:] >= bounds[:-1]).all())
