"""Recognizes a header that is not the first record: lines stand before it that are none."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from shared.errors import BadRow, InvalidEncoding, SourceEmpty
from shared.spec.source import SourceSpec
from worker_service.readers.batch import shown
from worker_service.readers.bytes.local import SourceFile, pread
from worker_service.readers.csv.delimiter import CANDIDATES, settled
from worker_service.readers.csv.dialect import LINE_END, Dialect
from worker_service.readers.csv.file import CsvFile, csv_file
from worker_service.readers.csv.first_records import Beginning, FirstRecords
from worker_service.readers.csv.head import fields_of
from worker_service.readers.csv.opening import opening

_NUMBER = re.compile(r"\W{0,3}\d")
"""How a number begins, and a date or an amount of money."""
_ANY_BYTES = "latin-1"
_ROWS = 2
"""Fewest rows that agree with a header."""
_LINES = 20
"""Most records before the header, and rows that are compared with it."""
_COMMENTS = b"#%!*"
"""Characters that begin a comment in many files."""
_TAIL, _SHOWN = 4096, 3
"""Bytes at the end of the file, and lines of them that a message shows."""


def settled_source(files: list[SourceFile], source: SourceSpec) -> SourceSpec:
    """See `settled`; the header of the first file is its first record, or BadRow is raised."""
    candidates = CANDIDATES if source.csv.delimiter == "auto" else ""
    source = settled(files, source)
    if not source.csv.header:
        return source
    with suppress(SourceEmpty):
        _check_first(csv_file(files[0], source), candidates)
    return source


def _check_first(file: CsvFile, delimiters: str) -> None:
    """Raise BadRow if a record below the first is plainly the header, with one of *delimiters* or the file's.

    That is so if most records from there on agree in their number of fields. No other record agrees with the
    first, unless that is one field. The header has no number, and a column below it mostly numbers.
    """
    beginning = Beginning(opening(file))
    own = file.dialect
    first, *second = beginning.records(own, 2).fields or [1]
    if first > 1 and second == [first]:
        return
    for dialect in (own, *(replace(own, delimiter=one.encode()) for one in delimiters)):
        found = beginning.records(dialect)
        header = _header(found, replace(file, dialect=dialect))
        if header is not None:
            raise _told(found, header, file, dialect)


def delimited_otherwise(names: Collection[str], name: str) -> str:
    """The cure for a file of a dataset whose header *names* hold *name* in a single field; else empty."""
    return (
        "its header is a single field, so its delimiter is another: give it to a job of its own"
        if _undivided(names, name)
        else ""
    )


def _undivided(names: Collection[str], name: str) -> bool:
    return len(names) == 1 and name in next(iter(names))


def named_below(file: CsvFile, name: str) -> str:
    """A hint at the first record below the header that has *name* as a field; empty if there is none."""
    if not file.options.header:
        return ""
    if name in map(str.strip, file.names):
        return "; set csv.trim to true: the header has the name with white space around it"
    if _undivided(file.names, name):
        return "; the header is a single field: set csv.delimiter to the text between its names"
    beginning, own = Beginning(opening(file)), file.dialect
    others = CANDIDATES if len(file.names) == 1 else ""
    for dialect in (own, *(replace(own, delimiter=one.encode()) for one in others)):
        found = beginning.records(dialect)
        for number in range(1, min(len(found.fields), _LINES)):
            if name in _fields(found, number, replace(file, dialect=dialect)):
                above, text = _lines_above(found, number, file), _text(found, number, dialect)
                cure = _commented(found, number) or _cure(above, file)
                return f"; line {above + 1}, {text}, has it: if that is the header, {cure}"
    return ""


def _header(found: FirstRecords, file: CsvFile) -> int | None:
    widths = found.fields
    if not widths or (widths[0] > 1 and widths[0] in widths[1:]):
        return None
    for number in range(1, min(len(widths) - 1, _LINES)):
        width = widths[number]
        rows = [row for row in range(number + 1, len(widths)) if widths[row] == width]
        if len(rows) < _ROWS or width in (1, widths[0]) or len(rows) * 2 <= len(widths) - number - 1:
            continue
        names, *others = (_fields(found, row, file) for row in (number, *rows[:_LINES]))
        if _are_names(names, others):
            return number
    return None


def _fields(found: FirstRecords, number: int, file: CsvFile) -> list[str]:
    """The fields, as if the record's faults were none: bytes that are no text may be any letters."""
    for encoding in (file.dialect.encoding, _ANY_BYTES):
        with suppress(BadRow, InvalidEncoding):
            return fields_of(
                found.block(number), replace(file, dialect=replace(file.dialect, encoding=encoding))
            )
    return [""] * found.fields[number]


def _are_names(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    named = [name for name in names if name.strip()]
    if any(map(_NUMBER.match, named)) or max(Counter(named).values(), default=2) > 1:
        return False
    columns = zip(*rows, strict=True)
    return any(
        name.strip() and sum(bool(_NUMBER.match(value)) for value in values) * 2 > len(values)
        for name, values in zip(names, columns, strict=True)
    )


def _told(found: FirstRecords, header: int, file: CsvFile, dialect: Dialect) -> BadRow:
    first, line = (_text(found, number, dialect) for number in (0, header))
    few, many = (found.fields[number] for number in (0, header))
    above = _lines_above(found, header, file)
    return BadRow(
        f"{file.uri}: the first record, {first}, has {few} field{'s' * (few > 1)}, and the records from line "
        f"{above + 1} on have {many}. Line {above + 1}, {line}, looks like the header: "
        + (_commented(found, header) or _cure(above, file))
    )


def _commented(found: FirstRecords, number: int) -> str:
    """The cure where all records before the header are comments, as others may be; else empty."""
    first = {found.data[start : start + 1] for start, _ in found.spans[:number]}
    mark = first.pop() if len(first) == 1 else b""
    return f'set csv.comment to "{mark.decode()}"' if mark and mark in _COMMENTS else ""


def _lines_above(found: FirstRecords, number: int, file: CsvFile) -> int:
    return file.content.line_ends_before(found.offset + found.spans[number][0])


def _cure(above: int, file: CsvFile) -> str:
    cure, last = f"set csv.skip_rows to {above}", ", ".join(map(repr, _last_lines(file)))
    footer = "set csv.skip_footer to how many of them are no records, if any"
    return f"{cure}. The last lines of the file are {last}: {footer}" if last else cure


def _text(found: FirstRecords, number: int, dialect: Dialect) -> str:
    start, stop = found.spans[number]
    return repr(shown(found.data[start:stop], dialect.encoding))


def _last_lines(file: CsvFile) -> list[str]:
    """The last lines, empty ones too; none where a stream would have to be read for them."""
    if file.content.streamed:
        return []
    size = min(file.content.end, _TAIL)
    tail = pread(file.content.file, file.content.end - size, size)
    lines = LINE_END.split(tail)
    return [shown(line, file.dialect.encoding) for line in (lines if lines[-1] else lines[:-1])[-_SHOWN:]]
