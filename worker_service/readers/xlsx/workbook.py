"""A sheet of a workbook as calamine opens it: in memory, every cell between the first and the last in use.

So the sheets are measured before. The file is a zip file whose claims are checked by the way.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from itertools import islice
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum

from shared.errors import CorruptFile, InvalidSpec, LimitExceeded, SourceEmpty
from shared.spec.faults import pointer
from shared.spec.names import listed, quote
from shared.spec.source import SourceSpec
from worker_service.readers.bytes.archive import is_workbook, members
from worker_service.readers.bytes.compressed import buffers, check_expansion
from worker_service.readers.bytes.directory import entries
from worker_service.readers.bytes.local import RandomAccess, SourceFile

Cell = Any
"""None, bool, float, str, or a date, time, datetime or timedelta of the standard library."""

MAX_BYTES, MAX_CELLS = 256 * 1024 * 1024, 20_000_000
_SHEET = "xl/worksheets/"
_CELL = re.compile(rb'<(?:\w+:)?c\s[^<>]*?\br="([A-Z]{1,3})([0-9]{1,7})"[^<>]*(?<!/)>')
_BUFFER, _OVERLAP = 1024 * 1024, 256
_LOOKED_AT = 20
"""Rows of each sheet in which a missing column is looked for."""
_CURE = "save the sheet as CSV"
_ZIP = b"PK\x03\x04"


def shows_workbook(file: SourceFile, start: bytes) -> bool:
    return start.startswith(_ZIP) and is_workbook(file)


@dataclass(frozen=True, slots=True)
class Sheet:
    """`first` is the number of the header's row, from 1."""

    names: list[str]
    first: int
    opened: CalamineSheet

    def rows(self) -> Iterator[tuple[int, list[Cell]]]:
        """The rows below the header that are not empty, with their numbers."""
        for number, row in _filled(self.opened):
            if number > self.first:
                yield number, [None if cell == "" else cell for cell in row]


def sheet_of(file: SourceFile, source: SourceSpec) -> Sheet:
    """The sheet that the spec names. Its header is the first row that is not empty.

    Raises InvalidSpec for a sheet that is not there, SourceEmpty for one without cells, LimitExceeded and
    CorruptFile.
    """
    _check_size(file)
    with calamine_errors(file):
        opened, sheets = _opened(file)
    wanted = source.xlsx.sheet
    name = wanted if isinstance(wanted, str) else dict(enumerate(sheets, 1)).get(wanted)
    if name not in sheets:
        told = f"no sheet {quote(wanted) if isinstance(wanted, str) else wanted}; it has {listed(sheets)}"
        raise InvalidSpec(f"{file.uri} has {told}", pointer=pointer("source", "xlsx", "sheet"))
    with calamine_errors(file):
        sheet = opened.get_sheet_by_name(name)
        first, header = next(_filled(sheet), (0, []))
    if not header:
        raise SourceEmpty(f"{file.uri}: the sheet {quote(name)} is empty")
    names = [f"c{number}" if cell == "" else _name(cell) for number, cell in enumerate(header, 1)]
    return Sheet(names, first, sheet)


def found_elsewhere(file: SourceFile, sheet: Sheet, name: str) -> str:
    """A hint at the cell among the first rows of a sheet that holds *name*, those of *sheet* before others.

    Without such a cell it lists the sheets; empty if there is only one.
    """
    with calamine_errors(file):
        opened, sheets = _opened(file)
        for title in sorted(sheets, key=lambda other: other != sheet.opened.name):
            rows = islice(_filled(opened.get_sheet_by_name(title)), _LOOKED_AT)
            for place, (number, row) in enumerate(rows):
                if name in map(_name, row):
                    cures = [f"set source.xlsx.sheet to {quote(title)}"] * (title != sheet.opened.name)
                    cures += ["delete the rows above it"] * (place > 0)
                    told = f"row {number} of the sheet {quote(title)} has it"
                    return f"; {told}: if that is the header, {' and '.join(cures)}"
    return f"; source.xlsx.sheet can name another sheet: {listed(sheets)}" if len(sheets) > 1 else ""


def _opened(file: SourceFile) -> tuple[CalamineWorkbook, list[str]]:
    """The workbook, and the names of its sheets."""
    opened = CalamineWorkbook.from_filelike(BufferedReader(RandomAccess(file)))
    return opened, [found.name for found in opened.sheets_metadata if found.typ == SheetTypeEnum.WorkSheet]


def _filled(sheet: CalamineSheet) -> Iterator[tuple[int, list[Cell]]]:
    """The rows that are not empty, with their numbers."""
    return (
        (number, row) for number, row in enumerate(sheet.iter_rows(), 1) if any(cell != "" for cell in row)
    )


def _name(cell: Cell) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


@contextmanager
def calamine_errors(file: SourceFile) -> Iterator[None]:
    """For calls of calamine: its errors, and its panics, are errors of the file."""
    try:
        yield
    except CalamineError as error:
        raise CorruptFile(f"{file.uri}: the workbook cannot be read: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise CorruptFile(f"{file.uri}: the workbook cannot be read: {error}") from error


def _check_size(file: SourceFile) -> None:
    if file.size > MAX_BYTES:
        told = f"the workbook has {file.size:,} bytes; the most is {MAX_BYTES:,}"
        raise LimitExceeded(f"{file.uri}: {told}: {_CURE}")
    found = members(file, entries(file))
    check_expansion(file, "zip", sum(member.size for member in found))
    for member in found:
        packed = replace(file, start=member.start, size=member.packed, member=member)
        cells = _last_cells(buffers(packed, "zip", _BUFFER), look=member.name.startswith(_SHEET))
        if cells > MAX_CELLS:
            told = f"{member.name} spans {cells:,} cells; the most is {MAX_CELLS:,}"
            raise LimitExceeded(f"{file.uri}: {told}: delete what lies far outside the table, or {_CURE}")


def _last_cells(data: Iterator[bytes], *, look: bool) -> int:
    """The cells of a sheet from its corner to the last column and row in use; reads all of *data*."""
    columns = rows = 0
    held = b""
    for buffer in data:
        held = held[-_OVERLAP:] + buffer
        for letters, digits in _CELL.findall(held) if look else ():
            columns, rows = max(columns, _number(letters)), max(rows, int(digits))
    return columns * rows


def _number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
