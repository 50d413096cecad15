"""The head of a CSV file: the header record, and the names of the columns.

The bytes read are bounded: at most `opening.HEAD` before the first record, and MAX_RECORD of that.
"""

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain

from shared.errors import BadRow, InvalidEncoding, LimitExceeded, SchemaConflict
from shared.spec.names import quote
from worker_service.readers.csv import scan
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.dialect import MalformedCsv
from worker_service.readers.csv.faults import malformed, set_encoding
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.masked import MASK, delimiters, first_break
from worker_service.readers.csv.opening import Opening, opening
from worker_service.readers.csv.plain import plain

MAX_COLUMNS = 100_000


@dataclass(frozen=True, slots=True)
class Head:
    """The column names, and the offset of the first record of data: the content's end if there is none.

    A column without a name is `c` and its number. Names may occur more than once.
    """

    names: tuple[str, ...]
    start: int


def head(file: CsvFile) -> Head:
    """Read the head of *file*; raises SourceEmpty if it holds no record."""
    found = opening(file)
    _check_separator(found, file)
    try:
        record, following = _first_record(found.start, chain([found.data], found.buffers), file)
    except MalformedCsv as error:
        raise malformed(file, error, found.start) from error
    scanner = file.scanner(found.start)
    masked = scanner.feed(record)
    count = len(delimiters(masked, file.dialect)) + 1
    if count > MAX_COLUMNS:
        told = f"the first record has {count:,} fields; the most is {MAX_COLUMNS:,}; check csv.delimiter"
        raise LimitExceeded(f"{file.located(found.start)}: {told}")
    if file.options.header:
        block = Block(found.start, record, masked, len(record), file.dialect, quoted=True, doubled=True)
        return Head(_named(fields_of(block, file), file), following)
    return Head(_given(count, file), found.start)


def check_names(file: CsvFile, used: Collection[str]) -> None:
    """Raise BadRow for a column of *used* whose name occurs more than once."""
    counts = Counter(file.names)
    for name in used:
        if counts[name] > 1:
            numbers = [str(number) for number, other in enumerate(file.names, 1) if other == name]
            places = f"{', '.join(numbers[:-1])} and {numbers[-1]}"
            told = f"the header has {quote(name)} {counts[name]} times: it names the columns {places}"
            raise BadRow(f"{file.uri}: {told}; give them different names, or {_renamed(file)}")


def _renamed(file: CsvFile) -> str:
    """How a spec names the columns itself."""
    lines = file.content.line_ends_before(head(file).start)
    return (
        f"set csv.header to false, csv.skip_rows to {lines} and csv.names "
        f"to {len(file.names)} different names, in the order of the columns"
    )


def _check_separator(found: Opening, file: CsvFile) -> None:
    if found.separator and not found.skipped and found.separator != file.dialect.delimiter:
        told, taken = (
            quote(text.decode(file.dialect.encoding, "replace"))
            for text in (found.separator, file.dialect.delimiter)
        )
        raise SchemaConflict(
            f"{file.uri}: the line sep= says that the delimiter is {told}, and csv.delimiter is {taken}; "
            'set csv.delimiter to "auto", or pass over the line by csv.skip_rows'
        )


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


def fields_of(block: Block, file: CsvFile) -> list[str]:
    """The fields of the one record of *block*. Raises InvalidEncoding and BadRow."""
    dialect = file.dialect
    try:
        block.data.decode(dialect.encoding)
    except UnicodeDecodeError as error:
        at, octet = block.offset + error.start, block.data[error.start]
        told = f"byte {at}, in the first record: 0x{octet:02x} is not {dialect.encoding}"
        raise InvalidEncoding(f"{file.uri}: {told}; {set_encoding(dialect.encoding)}") from error
    data, delimiter = plain(block, file)
    try:
        [fields] = csv.reader(
            [str(data, dialect.encoding)],
            delimiter=delimiter.decode(),
            quotechar=dialect.quote.decode() or None,
            escapechar=dialect.escape.decode() or None,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
            strict=True,
        )
    except (csv.Error, ValueError) as error:
        raise BadRow(f"{file.uri}: byte {block.offset}: the first record cannot be read: {error}") from error
    return fields


def _named(fields: Sequence[str], file: CsvFile) -> tuple[str, ...]:
    if "\0" in "".join(fields):
        raise BadRow(f"{file.uri}: a NUL byte in the header")
    trimmed = (field.strip() for field in fields) if file.options.trim else fields
    return tuple(name or f"c{number}" for number, name in enumerate(trimmed, 1))


def _given(count: int, file: CsvFile) -> tuple[str, ...]:
    """The names of the spec, or numbered ones."""
    names = file.options.names
    if names is None:
        return tuple(f"c{i}" for i in range(1, count + 1))
    if len(names) != count:
        told = f"the first record has {count} fields, and csv.names has {len(names)} names"
        raise SchemaConflict(f"{file.uri}: {told}")
    return tuple(names)
