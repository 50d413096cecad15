"""The head of a CSV file: byte order mark, empty lines, comments and the header record.

What is read of it is bounded, whatever the file holds: HEAD bytes of what is no record, and MAX_RECORD of a
record.
"""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain

from shared.errors import BadRow, InvalidEncoding, LimitExceeded, SchemaConflict, SourceEmpty
from shared.spec.names import listed
from shared.spec.source import CsvOptions
from worker_service.readers.content import Content
from worker_service.readers.csv_split import MAX_RECORD, first_break, too_long
from worker_service.readers.place import CURE, Place
from worker_service.readers.shape import MASK, Dialect, Fault, Scanner

PIECE = 64 * 1024
"""Bytes to ask for at a time while looking for the end of the first record."""

HEAD = 16 * 1024 * 1024
"""Bytes of comments and empty lines that may stand before the first record."""

MAX_COLUMNS = 100_000

_MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "gb18030": "\ufeff".encode("gb18030"),
}
"""Byte order marks that no file begins with by chance."""
_LONGEST_MARK = max(map(len, _MARKS.values()))


@dataclass(frozen=True, slots=True)
class Head:
    """The column names, and the offset of the first record of data (the end of the content if there is none)."""

    names: tuple[str, ...]
    start: int


def head(content: Content, dialect: Dialect, options: CsvOptions) -> Head:
    """Read the head of *content*; raises SourceEmpty if it holds no record."""
    pieces = content.pieces(PIECE)
    start, data = _skipped(pieces, content, dialect)
    place = Place(dialect=dialect, options=CsvOptions(), names=(), content=content)
    try:
        record, following = _first_record(start, chain([data], pieces), dialect)
    except Fault as fault:
        raise place.broken(fault, start) from fault
    count = _fields(record, dialect)
    if count > MAX_COLUMNS:
        told = f"the first record has {count:,} fields; the most is {MAX_COLUMNS:,}; check csv.delimiter"
        raise LimitExceeded(f"{place.at(start)}: {told}")
    if options.header:
        return Head(_checked(_parsed(record, start, dialect), dialect), following)
    return Head(_numbered(count, dialect, options.names), start)


def _skipped(pieces: Iterator[bytes], content: Content, dialect: Dialect) -> tuple[int, bytes]:
    """The offset of the first record, after the byte order mark, empty lines and comments.

    And the piece that it begins.
    """
    data = b""
    while len(data) < _LONGEST_MARK and (piece := next(pieces, b"")):
        data += piece
    offset = _mark(data, dialect)
    comment = rb"|%b[^\r\n]*+" % re.escape(dialect.comment) if dialect.comment else b""
    lines, rest_of_line = re.compile(rb"(?:[\r\n]++%b)*+" % comment), re.compile(rb"[^\r\n]*+")
    commented = False
    for piece in chain([data[offset:]], pieces):
        at = rest_of_line.match(piece).end() if commented else 0  # type: ignore[union-attr] # it matches everything
        at = lines.match(piece, at).end()  # type: ignore[union-attr]
        if offset + at > HEAD:
            raise SourceEmpty(
                f"{dialect.uri}: no record begins in the first {HEAD:,} bytes{content.offsets}: "
                "they hold only empty lines and comments; remove them, or check csv.comment"
            )
        if at < len(piece):
            return offset + at, piece[at:]
        offset += at
        commented = piece[-1:] not in (b"", b"\r", b"\n")
    raise SourceEmpty(f"{dialect.uri}: the file is empty: it has not even a header")


def _first_record(start: int, pieces: Iterator[bytes], dialect: Dialect) -> tuple[bytes, int]:
    """The record at *start*, where *pieces* begin, without its line end, and the offset after that.

    Raises Fault.

    A fault behind the record is for the planner to tell, which knows the names.
    """
    scanner, record, length = Scanner(dialect, start), list[bytes](), 0
    for piece in pieces:
        inside, before, fault = scanner.inside, copy(scanner), None
        try:
            shape = scanner.feed(piece)
        except Fault as found:
            fault, known = found, piece[: max(found.at - start - length, 0)]
            shape = (before.feed(known) if known else b"") + MASK
        end = first_break(shape, dialect.quote, inside)
        if fault and end is None:
            raise fault
        if length + (len(piece) if end is None else end + 1) > MAX_RECORD:
            raise too_long(start)
        if end is not None:
            line_end = piece[end : end + 2] if end + 1 < len(piece) else piece[end:] + next(pieces, b"")[:1]
            return b"".join([*record, piece[:end]]), start + length + end + (2 if line_end == b"\r\n" else 1)
        record.append(piece)
        length += len(piece)
    scanner.finish()
    return b"".join(record), start + length


def _mark(data: bytes, dialect: Dialect) -> int:
    """The length of the byte order mark; raises InvalidEncoding for that of another encoding."""
    for encoding, mark in _MARKS.items():
        if data.startswith(mark) and encoding != dialect.encoding:
            raise InvalidEncoding(
                f"{dialect.uri}: the file begins with the byte order mark of {encoding}; set csv.encoding to {encoding}"
            )
    mark = _MARKS.get(dialect.encoding, b"")
    return len(mark) if data.startswith(mark) else 0


def _fields(record: bytes, dialect: Dialect) -> int:
    scanner = Scanner(dialect, 0)
    scanner.feed(record)
    return scanner.delimiters + 1


def _parsed(record: bytes, start: int, dialect: Dialect) -> list[str]:
    try:
        text = record.decode(dialect.encoding)
    except UnicodeDecodeError as error:
        at, octet = start + error.start, record[error.start]
        told = f"byte {at}, in the first record: 0x{octet:02x} is not {dialect.encoding}; {CURE}"
        raise InvalidEncoding(f"{dialect.uri}: {told}") from error
    try:
        [fields] = csv.reader(
            [text],
            delimiter=dialect.delimiter.decode(),
            quotechar=dialect.quote.decode() or None,
            escapechar=dialect.escape.decode() or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
            strict=True,
        )
    except (csv.Error, ValueError) as error:
        raise BadRow(f"{dialect.uri}: byte {start}: the first record cannot be read: {error}") from error
    return fields


def _checked(names: Sequence[str], dialect: Dialect) -> tuple[str, ...]:
    cure = "give the columns other names, or set csv.header to false and csv.names"
    if "" in names:
        raise BadRow(f"{dialect.uri}: column {names.index('') + 1} of the header has no name; {cure}")
    if "\0" in "".join(names):
        raise BadRow(f"{dialect.uri}: a NUL byte in the header")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise BadRow(f"{dialect.uri}: the header has {listed(repeated)} more than once; {cure}")
    return tuple(names)


def _numbered(count: int, dialect: Dialect, names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return tuple(f"c{i}" for i in range(1, count + 1))
    if len(names) != count:
        raise SchemaConflict(
            f"{dialect.uri}: the first record has {count} fields, and csv.names has {len(names)} names"
        )
    return tuple(names)
