"""The head of a CSV file: byte order mark, empty lines and the header record."""

import codecs
import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import BadRow, InvalidEncoding, SchemaConflict, SourceEmpty
from shared.spec.source import CsvOptions
from worker_service.readers.content import Content
from worker_service.readers.csv_split import MAX_RECORD, records
from worker_service.readers.place import CURE, Place
from worker_service.readers.shape import MASK, Dialect, Fault, Scanner

PIECE = 64 * 1024
"""Bytes to ask for at a time while looking for the end of the first record."""

_MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "gb18030": "\ufeff".encode("gb18030"),
}
"""Byte order marks that no file begins with by chance."""


@dataclass(frozen=True, slots=True)
class Head:
    """The column names, and the offset of the first record of data (the end of the content if there is none)."""

    names: tuple[str, ...]
    start: int


def head(content: Content, dialect: Dialect, options: CsvOptions) -> Head:
    """Read the head of *content*; raises SourceEmpty if it holds no record at all."""
    data, want = b"", 1
    found: tuple[int, int, int] | None = None
    for piece in content.pieces(PIECE):
        data += piece
        if len(data) < want:
            continue
        if (found := _first_record(data, content, dialect, complete=False)) is not None:
            break
        if len(data) > MAX_RECORD:
            raise BadRow(f"{dialect.uri}: the first record is longer than {MAX_RECORD} bytes, or a quote in it is never closed")
        want = 2 * len(data)
    start, stop, following = found or _first_record(data, content, dialect, complete=True) or (0, 0, 0)
    if stop == start:
        raise SourceEmpty(f"{dialect.uri}: the file is empty: it has not even a header")
    fields = _fields(data, start, stop, dialect)
    if options.header:
        return Head(_checked(fields, dialect), following)
    return Head(_numbered(len(fields), dialect, options.names), start)


def _first_record(data: bytes, content: Content, dialect: Dialect, *, complete: bool) -> tuple[int, int, int] | None:
    """Start and stop of the first record that is not an empty line, and the start of what follows; None if *data* ends too early."""
    bom = _mark(data, dialect)
    shape, fault = _shape(data[bom:], bom, dialect, complete=complete)
    found = records(shape, dialect, keep_empty=True)
    filled = (found.stops > found.starts).nonzero()[0]
    first = int(filled[0]) if filled.size else 0
    if filled.size and first + 1 < len(found.starts):
        following = int(found.starts[first + 1])
    elif fault:
        raise Place(dialect=dialect, options=CsvOptions(), names=(), content=content).broken(fault, bom)
    elif complete and filled.size:
        following = len(shape)
    else:
        return None
    return bom + int(found.starts[first]), bom + int(found.stops[first]), bom + following


def _shape(data: bytes, offset: int, dialect: Dialect, *, complete: bool) -> tuple[bytes, Fault | None]:
    """The shape of *data*. A fault behind the first record is for the planner to tell, which knows the names: the shape ends with its byte."""
    scanner = Scanner(dialect, offset)
    try:
        shape = scanner.feed(data) if data else b""
        if complete:
            scanner.finish()
    except Fault as fault:
        before = data[: fault.at - offset]
        return (Scanner(dialect, offset).feed(before) if before else b"") + MASK, fault
    return shape, None


def _mark(data: bytes, dialect: Dialect) -> int:
    """The length of the byte order mark; raises InvalidEncoding for that of another encoding."""
    for encoding, mark in _MARKS.items():
        if data.startswith(mark) and encoding != dialect.encoding:
            raise InvalidEncoding(f"{dialect.uri}: the file begins with the byte order mark of {encoding}; set csv.encoding to {encoding}")
    mark = _MARKS.get(dialect.encoding, b"")
    return len(mark) if data.startswith(mark) else 0


def _fields(data: bytes, start: int, stop: int, dialect: Dialect) -> list[str]:
    try:
        text = data[start:stop].decode(dialect.encoding)
    except UnicodeDecodeError as error:
        at = start + error.start
        raise InvalidEncoding(
            f"{dialect.uri}: byte {at}, in the first record: 0x{data[at]:02x} is not {dialect.encoding}; {CURE}"
        ) from error
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
        raise BadRow(f"{dialect.uri}: the header has {', '.join(map(repr, repeated))} more than once; {cure}")
    return tuple(names)


def _numbered(count: int, dialect: Dialect, names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return tuple(f"c{i}" for i in range(1, count + 1))
    if len(names) != count:
        raise SchemaConflict(f"{dialect.uri}: the first record has {count} fields, and csv.names has {len(names)} names")
    return tuple(names)
