"""A CSV file with its dialect and its columns: the context of splitting, parsing and error messages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared.spec.column_text import ColumnText
from shared.spec.source import CsvOptions, SourceSpec
from worker_service.readers.bytes.local import SourceFile, pread
from worker_service.readers.csv.content import Content, content_of
from worker_service.readers.csv.dialect import Dialect, dialect_of
from worker_service.readers.csv.masked import Records, records
from worker_service.readers.csv.numbered import spans
from worker_service.readers.csv.scan import MAX_RECORD, RecordScanner, Scanner


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFile:
    """`names` are those of the columns; empty until the head is read. `nulls` are a column's own spellings.

    Offsets, here and in all of `csv`, count the bytes of `content`.
    """

    content: Content
    dialect: Dialect
    options: CsvOptions
    names: tuple[str, ...] = ()
    nulls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return self.content.file.uri

    def buffers(self, size: int, start: int = 0) -> Iterator[bytes]:
        """See `Content.buffers`. None ends inside a delimiter."""
        found = self.content.buffers(size, start)
        return unbroken(found, self.dialect.delimiter) if len(self.dialect.delimiter) > 1 else found

    def part(self, start: int, size: int, end: int) -> bytes:
        """About *size* bytes of an unstreamed file before *end*. They do not end inside a delimiter."""
        data, delimiter = pread(self.content.file, start, size), self.dialect.delimiter
        return data if len(delimiter) == 1 or start + len(data) == end else data.rstrip(delimiter) or data

    def scanner(self, start: int = 0) -> Scanner:
        """A scanner from the record start at *start* on."""
        return Scanner(self.dialect, start)

    def guessing_scanner(self, start: int, *, inside: bool, last: int) -> Scanner:
        """A scanner from *start* on, if it is *inside* quotes or not and the byte before it is *last*."""
        return Scanner(self.dialect, start, inside=inside, last=last)

    def record_scanner(self, start: int) -> RecordScanner:
        """A scanner from the record start at *start* on that keeps the start of the record it is in."""
        return RecordScanner(self.dialect, start)

    def records(self, masked: bytes) -> Records:
        """The records of *masked* bytes, as the parser sees them."""
        return records(masked, self.dialect, keep_empty=len(self.names) == 1)

    def line(self, offset: int) -> int:
        """The number of the line, from 1, that holds *offset*; reads the file from its beginning."""
        return self.content.lines_before(offset) + 1

    def spans(self, masked: bytes, numbers: Sequence[int]) -> list[tuple[int, int]]:
        """The bytes of a few of these records; *numbers* are ascending, from 0."""
        found = spans(masked, self.dialect, numbers, keep_empty=len(self.names) == 1)
        return [(int(start), int(stop)) for start, stop in found]

    def located(self, offset: int) -> str:
        """File, byte and line of *offset* for a message; reads the file from its beginning."""
        return f"{self.uri}: byte {offset}{self.content.offsets}, line {self.line(offset)}"


def unbroken(buffers: Iterator[bytes], delimiter: bytes) -> Iterator[bytes]:
    """The same bytes; no buffer but the last ends with a byte of *delimiter*, unless a record is too long."""
    held = b""
    for buffer in buffers:
        held += buffer
        size = len(held.rstrip(delimiter))
        if len(held) - size >= MAX_RECORD:
            size = len(held)
        if size:
            yield held[:size]
            held = held[size:]
    if held:
        yield held


def csv_file(file: SourceFile, source: SourceSpec, names: tuple[str, ...] = ()) -> CsvFile:
    """*source* has a definite delimiter; see `with_delimiter`."""
    options = source.csv
    assert options.delimiter != "auto"
    given = ((name, text) for name, text in source.types.items() if isinstance(text, ColumnText))
    return CsvFile(
        content=content_of(file, source),
        dialect=dialect_of(options),
        options=options,
        names=names,
        nulls={name: text.null_values for name, text in given if text.null_values},
    )
