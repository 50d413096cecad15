"""The head of a CSV file: byte order mark, empty lines, comments and the header record.

The bytes read are bounded: at most HEAD before the first record, and MAX_RECORD of that.
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
from worker_service.readers.csv import scan
from worker_service.readers.csv.dialect import MalformedCsv
from worker_service.readers.csv.faults import SET_ENCODING, malformed
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.masked import MASK, first_break

BUFFER = 64 * 1024
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
    """The column names, and the offset of the first record of data: the content's end if there is none."""

    names: tuple[str, ...]
    start: int


def head(file: CsvFile) -> Head:
    """Read the head of *file*; raises SourceEmpty if it holds no record."""
    buffers = file.buffers(BUFFER)
    start, data = _first_start(buffers, file)
    try:
        record, following = _first_record(start, chain([data], buffers), file)
    except MalformedCsv as error:
        raise malformed(file, error, start) from error
    scanner = file.scanner(start)
    scanner.feed(record)
    count = scanner.delimiters + 1
    if count > MAX_COLUMNS:
        told = f"the first record has {count:,} fields; the most is {MAX_COLUMNS:,}; check csv.delimiter"
        raise LimitExceeded(f"{file.located(start)}: {told}")
    if file.options.header:
        return Head(_checked(_parsed(record, start, file), file), following)
    return Head(_given(count, file), start)


def _first_start(buffers: Iterator[bytes], file: CsvFile) -> tuple[int, bytes]:
    """The offset of the first record, after the byte order mark, empty lines and comments.

    The second value is the rest of the buffer, which the record begins.
    """
    dialect = file.dialect
    data = b""
    while len(data) < _LONGEST_MARK and (buffer := next(buffers, b"")):
        data += buffer
    offset = _mark(data, file)
    comment = rb"|%b[^\r\n]*+" % re.escape(dialect.comment) if dialect.comment else b""
    lines, rest_of_line = re.compile(rb"(?:[\r\n]++%b)*+" % comment), re.compile(rb"[^\r\n]*+")
    commented = False
    for buffer in chain([data[offset:]], buffers):
        at = rest_of_line.match(buffer).end() if commented else 0  # type: ignore[union-attr] # it matches everything
        at = lines.match(buffer, at).end()  # type: ignore[union-attr]
        if offset + at > HEAD:
            raise SourceEmpty(
                f"{file.uri}: no record begins in the first {HEAD:,} bytes{file.content.offsets}: "
                "they hold only empty lines and comments; remove them, or check csv.comment"
            )
        if at < len(buffer):
            return offset + at, buffer[at:]
        offset += at
        commented = buffer[-1:] not in (b"", b"\r", b"\n")
    raise SourceEmpty(f"{file.uri}: the file is empty: it has not even a header")


def _first_record(start: int, buffers: Iterator[bytes], file: CsvFile) -> tuple[bytes, int]:
    """The record at *start*, where *buffers* begin, without its line end, and the offset after that.

    Raises MalformedCsv. If the bytes behind the record are malformed, the planner will find that: it knows
    the names.
    """
    scanner, record, length = file.scanner(start), list[bytes](), 0
    for buffer in buffers:
        inside, before, error = scanner.inside, copy(scanner), None
        try:
            masked = scanner.feed(buffer)
        except MalformedCsv as found:
            error, known = found, buffer[: max(found.at - start - length, 0)]
            masked = (before.feed(known) if known else b"") + MASK
        end = first_break(masked, scanner.quote, inside)
        if error and end is None:
            raise error
        if length + (len(buffer) if end is None else end + 1) > scan.MAX_RECORD:
            raise scan.too_long(start)
        if end is not None:
            line_end = (
                buffer[end : end + 2] if end + 1 < len(buffer) else buffer[end:] + next(buffers, b"")[:1]
            )
            following = start + length + end + (2 if line_end == b"\r\n" else 1)
            return b"".join([*record, buffer[:end]]), following
        record.append(buffer)
        length += len(buffer)
    scanner.finish()
    return b"".join(record), start + length


def _mark(data: bytes, file: CsvFile) -> int:
    """The length of the byte order mark; raises InvalidEncoding for that of another encoding."""
    for encoding, mark in _MARKS.items():
        if data.startswith(mark) and encoding != file.dialect.encoding:
            told = f"the file begins with the byte order mark of {encoding}; set csv.encoding to {encoding}"
            raise InvalidEncoding(f"{file.uri}: {told}")
    mark = _MARKS.get(file.dialect.encoding, b"")
    return len(mark) if data.startswith(mark) else 0


def _parsed(record: bytes, start: int, file: CsvFile) -> list[str]:
    dialect = file.dialect
    try:
        text = record.decode(dialect.encoding)
    except UnicodeDecodeError as error:
        at, octet = start + error.start, record[error.start]
        told = f"byte {at}, in the first record: 0x{octet:02x} is not {dialect.encoding}; {SET_ENCODING}"
        raise InvalidEncoding(f"{file.uri}: {told}") from error
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
        raise BadRow(f"{file.uri}: byte {start}: the first record cannot be read: {error}") from error
    return fields


def _checked(names: Sequence[str], file: CsvFile) -> tuple[str, ...]:
    cure = "give the columns other names, or set csv.header to false and csv.names"
    if "" in names:
        raise BadRow(f"{file.uri}: column {names.index('') + 1} of the header has no name; {cure}")
    if "\0" in "".join(names):
        raise BadRow(f"{file.uri}: a NUL byte in the header")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise BadRow(f"{file.uri}: the header has {listed(repeated)} more than once; {cure}")
    return tuple(names)


def _given(count: int, file: CsvFile) -> tuple[str, ...]:
    """The names of the spec, or numbered ones."""
    names = file.options.names
    if names is None:
        return tuple(f"c{i}" for i in range(1, count + 1))
    if len(names) != count:
        told = f"the first record has {count} fields, and csv.names has {len(names)} names"
        raise SchemaConflict(f"{file.uri}: {told}")
    return tuple(names)
