"""Blocks as bytes in which the parser finds the records and fields that the scanner has found.

The parser knows no comments, compares spellings of null after it has undone escapes, and takes a delimiter of
one byte. So comments and spellings of null are cut out here, and longer delimiters replaced.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from shared.errors import LimitExceeded
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import Dialect
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.masked import Flags, Positions, comments, delimiters, positions
from worker_service.readers.csv.numbered import spans

_SPARE = bytes(octet for octet in range(1, 32) if octet not in b"\t\n\r") + b"\x7f"
"""Of these control characters one stands for a delimiter of several bytes. None is a part of another."""

Span = tuple[int, int]


def plain(block: Block, file: CsvFile, cut_out: Iterable[Span] = ()) -> tuple[bytes | memoryview, bytes]:
    """The records of *block* for the parser, in the file's encoding, and their delimiter.

    The bytes of *cut_out* are left out, and so are comments. With an escape character, fields that are a
    spelling of null are empty.
    """
    dialect, spellings = file.dialect, _raw_spellings(file)
    parts = list(cut_out)
    if dialect.comment:
        parts += _comments(block, dialect)
    if not parts and not spellings and len(dialect.delimiter) == 1:
        return memoryview(block.data)[: block.size], dialect.delimiter
    masked = block.masked[: block.size]
    octets, keep = np.frombuffer(block.data, np.uint8, block.size).copy(), np.ones(block.size, np.bool_)
    for start, stop in parts:
        keep[start:stop] = False
    last = bool(keep[-1])
    for spelling, column in spellings:
        found = _fields(block, masked, dialect, spelling)
        if column is not None:
            found = found[_columns(found, masked, file) == column]
        for i in range(len(spelling)):
            keep[found + i] = False
    end = b"\n" if last and not keep[-1] else b""  # for a last record that has become empty
    delimiter = dialect.delimiter
    if len(delimiter) > 1:
        delimiter = _spare(block, dialect)
        found = delimiters(masked, dialect)
        octets[found] = delimiter[0]
        for i in range(1, len(dialect.delimiter)):
            keep[found + i] = False
    return octets[keep].tobytes() + end, delimiter


def _raw_spellings(file: CsvFile) -> list[tuple[bytes, int | None]]:
    """The spellings of null to be found before escapes are undone, and the number of the column of each.

    None: all columns. Of a column's own spellings, those without an escape are found later.
    """
    escape = file.options.escape
    if not escape:
        return []
    own = ((text, name) for name, texts in file.nulls.items() for text in texts if name in file.names)
    escaped = ((text, file.names.index(name)) for text, name in own if escape in text)
    found = [*((text, None) for text in file.options.null_values if text), *escaped]
    return [(text.encode(file.dialect.encoding), column) for text, column in found]


def _columns(found: Positions, masked: bytes, file: CsvFile) -> Positions:
    """The number of the column of the field at each position."""
    ends, starts = delimiters(masked, file.dialect), file.records(masked).starts
    first = starts[np.searchsorted(starts, found, side="right") - 1]
    return np.searchsorted(ends, found) - np.searchsorted(ends, first)


def padded(block: Block, file: CsvFile, missing: Mapping[int, int]) -> Block:
    """*block* with so many *missing* fields, empty ones, at the end of the records with these numbers."""
    masked = block.masked[: block.size]
    ends = spans(masked, file.dialect, sorted(missing), keep_empty=len(file.names) == 1)[:, 1].tolist()
    counts = [missing[number] for number in sorted(missing)]
    bounds = [0, *ends, block.size]

    def joined(data: bytes, delimiter: bytes) -> bytes:
        parts = [data[bounds[0] : bounds[1]]]
        for count, start, stop in zip(counts, bounds[1:], bounds[2:], strict=False):
            parts += [count * delimiter, data[start:stop]]
        return b"".join(parts)

    width = len(file.dialect.delimiter)
    data = joined(block.data, file.dialect.delimiter)
    return replace(
        block,
        data=data,
        masked=joined(masked, width * file.dialect.separator) if masked != block.data[: block.size] else data,
        size=len(data),
    )


def _comments(block: Block, dialect: Dialect) -> list[Span]:
    """The spans of the comments.

    A carriage return before one and a line feed behind it do not become one line end.
    """
    data, spans, at, last = block.data, list[Span](), 0, b""
    for start, end in comments(block.masked[: block.size], dialect):
        if start > at:
            last = data[start - 1 : start]
        parted = last == b"\r" and end < block.size and data[end : end + 1] == b"\n"
        at = end - parted  # the comment's own line feed joins that carriage return
        spans.append((start, at))
    return spans


def _fields(block: Block, masked: bytes, dialect: Dialect, spelling: bytes) -> Positions:
    """The starts of the unquoted fields that are written as *spelling*."""
    octets, structure = np.frombuffer(block.data, np.uint8, block.size), np.frombuffer(masked, np.uint8)
    found = positions(block.data[: block.size], spelling[:1])
    found = found[found + len(spelling) <= block.size]
    edges = np.frombuffer(dialect.separator + b"\r\n", np.uint8)
    for i, octet in enumerate(spelling):
        found = found[octets[found + i] == octet]
        found = found[~np.isin(structure[found + i], edges)]
    before, after = found - 1, found + len(spelling)
    begins: Flags = (before < 0) | np.isin(structure[before], edges)
    ends: Flags = (after == block.size) | np.isin(structure[np.minimum(after, block.size - 1)], edges)
    found = found[begins & ends]
    outside: Flags = np.searchsorted(positions(masked, dialect.quote), found) % 2 == 0
    return found[outside]


def _spare(block: Block, dialect: Dialect) -> bytes:
    for octet in _SPARE:
        if octet not in block.data and octet not in dialect.quote + dialect.escape:
            return bytes([octet])
    told = "every control character of ASCII occurs in the data near"
    raise LimitExceeded(f"{told} byte {block.offset}; a delimiter of several characters needs an unused one")
