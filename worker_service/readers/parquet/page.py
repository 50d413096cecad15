"""The header of the first page of a Parquet column chunk: Arrow reads more of it than it gives out."""

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow.parquet as pq

from worker_service.readers.bytes.local import SourceFile, pread

DICTIONARY = 2
_TYPE, _SIZE, _VALUES = (1,), (2,), (7, 1)
"""Paths of fields in the header: the page's type, its size, and the number of values of its dictionary."""
_INTEGERS, _STRUCT = {4, 5, 6}, 12
_HEADER = 64
"""Bytes that hold these fields: those before them are four numbers."""


class Dictionary(NamedTuple):
    """The number of `words` of a dictionary, equal ones too, and its bytes before compression."""

    words: int = 0
    size: int = 0


def dictionary(file: SourceFile, chunk: pq.ColumnChunkMetaData) -> Dictionary:
    """Of no words if the chunk does not begin with one."""
    start = first_page(chunk)
    if not 0 <= start < file.size:  # Arrow names the fault
        return Dictionary()
    header = dict(numbers(pread(file, start, _HEADER)))
    if header.get(_TYPE) != DICTIONARY:
        return Dictionary()
    return Dictionary(header.get(_VALUES, 0), header.get(_SIZE, 0))


def first_page(chunk: pq.ColumnChunkMetaData) -> int:
    """The byte where it begins, as the chunk claims."""
    start, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset or 0
    return int(dictionary if 0 < dictionary < start else start)


def numbers(data: bytes) -> Iterator[tuple[tuple[int, ...], int]]:
    """The whole numbers of a struct in Thrift's compact protocol, each with its path of field numbers.

    Ends with *data*, and before a field that is neither a number nor a struct.
    """
    octets = iter(data)
    around: tuple[int, ...] = ()
    number = 0
    for octet in octets:
        step, kind = octet >> 4, octet & 15
        if not octet:  # the end of a struct
            if not around:
                return
            *outside, number = around
            around = tuple(outside)
            continue
        number = number + step if step else _number(octets)
        if kind == _STRUCT:
            around, number = (*around, number), 0
        elif kind in _INTEGERS:
            yield (*around, number), _number(octets)
        else:
            return


def _number(octets: Iterator[int]) -> int:
    """A zigzag varint: seven bits in each octet, the lowest first; the eighth says that more follow.

    The lowest bit of all is the sign.
    """
    value = 0
    for no, octet in enumerate(octets):
        value |= (octet & 127) << (7 * no)
        if octet < 128:
            break
    return value >> 1 ^ -(value & 1)
