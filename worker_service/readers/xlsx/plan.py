"""Plans workbooks: types of the columns in use from all cells of the sheet, which is one extent."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import pyarrow as pa

from shared.core.plan import Extent
from shared.errors import SchemaConflict
from shared.spec.names import quote
from shared.spec.source import SourceSpec
from shared.spec.types import DataType, Kind
from shared.spec.uses import Uses
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.inference import Use, joined
from worker_service.readers.literals import Column
from worker_service.readers.schema import Findings, columns_in_files, settled
from worker_service.readers.xlsx.cells import kind_of, text_of
from worker_service.readers.xlsx.workbook import Sheet, calamine_errors, sheet_of

_SAMPLED = 10_000
"""Rows that an error looks at."""


def names(file: SourceFile, source: SourceSpec) -> Collection[str]:
    return sheet_of(file, source).names


def plan(
    files: list[SourceFile], source: SourceSpec, uses: Uses, chunk_bytes: int, *, guess: bool = False
) -> Findings:
    """The schema of the columns in use, and one extent for each file with rows."""
    del chunk_bytes, guess
    known: list[tuple[str, Collection[str]]] = []
    kinds: dict[str, Kind] = dict.fromkeys(uses.columns, "null")
    extents: list[tuple[Extent, int]] = []
    for i, file in enumerate(files):
        sheet = sheet_of(file, source)
        known.append((file.uri, sheet.names))
        found, rows = _kinds(file, sheet, uses.columns)
        for name, kind in found.items():
            kinds[name] = joined(kinds[name], kind, Use(name, key=False))
        if rows:
            extents.append((Extent(i, 0, 1, rows), file.size))
    columns = columns_in_files(known, source, uses)
    types = {Use(name, key=False): DataType(kinds[name]) for name in columns if name not in source.types}
    return Findings(settled(columns, source.declared, types), extents)


def _kinds(file: SourceFile, sheet: Sheet, columns: Sequence[str]) -> tuple[dict[str, Kind], int]:
    """The kinds of *columns*, as far as the sheet has them, and its rows."""
    places = places_of(file, sheet, [name for name in columns if name in sheet.names])
    cells: dict[str, list[object]] = {name: [] for name in places}
    rows = 0
    with calamine_errors(file):
        for _, row in sheet.rows():
            rows += 1
            for name, at in places.items():
                cells[name].append(row[at])
    return {name: kind_of(found) for name, found in cells.items()}, rows


def places_of(file: SourceFile, sheet: Sheet, columns: Collection[str]) -> dict[str, int]:
    """Raises SchemaConflict for a name that occurs several times."""
    times = Counter(sheet.names)
    for name in columns:
        if times[name] > 1:
            numbers = ", ".join(str(no) for no, found in enumerate(sheet.names, 1) if found == name)
            told = f"the columns {numbers} have the name {quote(name)}; give them different names"
            raise SchemaConflict(f"{file.uri}: {told}")
    return {name: sheet.names.index(name) for name in columns}


def sampled_texts(
    files: list[SourceFile], source: SourceSpec, columns: Collection[str]
) -> Iterator[dict[str, Column]]:
    """For each file, the texts of *columns* in its first rows."""
    for file in files:
        sheet = sheet_of(file, source)
        places = places_of(file, sheet, [name for name in columns if name in sheet.names])
        rows = [row for _, row in islice(sheet.rows(), _SAMPLED)]
        yield {name: pa.array([text_of(row[at]) for row in rows], pa.string()) for name, at in places.items()}
