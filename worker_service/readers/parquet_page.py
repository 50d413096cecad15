"""The page with which a column chunk of Parquet begins: what Arrow reads of its header and does not tell."""

from collections.abc import Iterator

import pyarrow.parquet as pq

from worker_service.readers.files import SourceFile, pread

_DICTIONARY = 2
_TYPE, _WORDS = (1,), (7, 1)
"""Fields of the header: the page's type, and in its dictionary header the number of values."""
_INTEGERS, _STRUCT = {4, 5, 6}, 12
_HEADER = 64
"""Bytes that hold these fields: those before them are four numbers."""


def words(file: SourceFile, chunk: pq.ColumnChunkMetaData) -> int:
    """How many values the chunk's dictionary has, equal ones too; 0 if the chunk does not begin with one."""
    start, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset or 0
    if 0 < dictionary < start:
        start = dictionary
    if not 0 <= start < file.size:  # Arrow says what is wrong
        return 0
    header = dict(numbers(pread(file, start, _HEADER)))
    return header.get(_WORDS, 0) if header.get(_TYPE) == _DICTIONARY else 0


def numbers(data: bytes) -> Iterator[tuple[tuple[int, ...], int]]:
    """The whole numbers of a struct in Thrift's compact protocol, each with the way of fields to it.

    Ends before a field that is neither a number nor a struct, and where *data* do.
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
    """Seven bits in each octet, the lowest first; the eighth says that more follow.

    The lowest bit of all is the sign.
    """
    value = 0
    for no, octet in enumerate(octets):
        value |= (octet & 127) << (7 * no)
        if octet < 128:
            break
    return value >> 1 ^ -(value & 1)
