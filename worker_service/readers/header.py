"""The head of a CSV file: byte order mark, empty lines and the header record."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.errors import BadRow, InvalidEncoding, SchemaConflict, SourceEmpty
from shared.spec.source import CsvOptions
from worker_service.readers.csv_split import MAX_RECORD, Dialect, Quotes, records

PIECE = 64 * 1024
"""Bytes to ask for at a time while looking for the end of the first record."""

_BOM = b"\xef\xbb\xbf"
_WIDE = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True, slots=True)
class Head:
    """The column names, and the offset of the first record of data (the end of the content if there is none)."""

    names: tuple[str, ...]
    start: int


def head(content: Iterable[bytes], dialect: Dialect, options: CsvOptions) -> Head:
    """Read the head of *content*, the file's bytes from their beginning; raises SourceEmpty if it holds no record at all."""
    data = b""
    found: tuple[int, int, int] | None = None
    for piece in content:
        data += piece
        if (found := _first_record(data, dialect, complete=False)) is not None:
            break
        if len(data) > MAX_RECORD:
            raise BadRow(f"{dialect.uri}: the first record is longer than {MAX_RECORD} bytes, or a quote in it is never closed")
    start, stop, following = found or _first_record(data, dialect, complete=True) or (0, 0, 0)
    if stop == start:
        raise SourceEmpty(f"{dialect.uri}: the file is empty: it has not even a header")
    quotes = Quotes(dialect, start)
    quotes.feed(data[start:following])
    quotes.finish()
    fields = _fields(data, start, stop, dialect)
    if options.header:
        return Head(_checked(fields, dialect), following)
    return Head(_numbered(len(fields), dialect, options.names), start)


def _first_record(data: bytes, dialect: Dialect, *, complete: bool) -> tuple[int, int, int] | None:
    """Start and stop of the first record that is not an empty line, and the start of what follows; None if *data* ends too early."""
    bom = len(_BOM) if data.startswith(_BOM) else 0
    found = records(data[bom:], dialect, keep_empty=True)
    filled = (found.stops > found.starts).nonzero()[0]
    if not filled.size:
        return None
    first = int(filled[0])
    if first + 1 < len(found.starts):
        following = int(found.starts[first + 1])
    elif complete:
        following = len(data) - bom
    else:
        return None
    return bom + int(found.starts[first]), bom + int(found.stops[first]), bom + following


def _fields(data: bytes, start: int, stop: int, dialect: Dialect) -> list[str]:
    if wide := _WIDE.get(data[:2]):
        raise InvalidEncoding(f"{dialect.uri}: the file is {wide}, not UTF-8; convert it first, as with: iconv -f latin1 -t utf-8")
    try:
        text = data[start:stop].decode()
    except UnicodeDecodeError as error:
        at = start + error.start
        raise InvalidEncoding(
            f"{dialect.uri}: byte {at}, in the first record: 0x{data[at]:02x} is not UTF-8; convert it first, as with: iconv -f latin1 -t utf-8"
        ) from error
    try:
        [fields] = csv.reader([text], delimiter=dialect.delimiter.decode(), quotechar=dialect.quote.decode(), strict=True)
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
