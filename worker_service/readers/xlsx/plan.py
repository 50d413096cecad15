"""Plans workbooks: types of the columns in use from all cells of the sheet, which is one extent."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa

from shared.core.plan import Extent
from shared.errors import SchemaConflict
from shared.spec.names import quote
from shared.spec.source import SourceSpec
from shared.spec.uses import Uses
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.inference import Samples, Use
from worker_service.readers.literals import Column
from worker_service.readers.schema import Findings, columns_in_files, settled
from worker_service.readers.xlsx.cells import kind_of, text_of
from worker_service.readers.xlsx.workbook import Cell, Sheet, calamine_errors, found_elsewhere, sheet_of

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
    sampled = Samples((Use(name, key=False) for name in uses.columns if name not in source.types), source)
    extents: list[tuple[Extent, int]] = []
    for i, file in enumerate(files):
        sheet = sheet_of(file, source)
        known.append((file.uri, sheet.names))
        cells, rows = _cells(file, sheet, uses.columns)
        values = {name: found[:_SAMPLED] for name, found in cells.items() if name in uses.values}
        sampled.add(_texts(values), {name: kind_of(found) for name, found in cells.items()})
        if rows:
            extents.append((Extent(i, 0, 1, rows), file.size))
    columns, lacking = columns_in_files(
        known, source, uses, lambda name: found_elsewhere(files[0], sheet_of(files[0], source), name)
    )
    found = sampled.readings(uses)
    types = {use: kind for use, kind in sampled.types.items() if use.column in columns}
    schema = settled(columns, source.declared, types, found.reads)
    return Findings(schema, extents, (*lacking, *found.warnings), found.culprits)


def _cells(file: SourceFile, sheet: Sheet, columns: Sequence[str]) -> tuple[dict[str, list[Cell]], int]:
    """The cells of *columns*, as far as the sheet has them, and the number of its rows."""
    places = places_of(file, sheet, [name for name in columns if name in sheet.names])
    cells: dict[str, list[Cell]] = {name: [] for name in places}
    rows = 0
    with calamine_errors(file):
        for _, row in sheet.rows():
            rows += 1
            for name, at in places.items():
                cells[name].append(row[at])
    return cells, rows


def _texts(cells: Mapping[str, Sequence[Cell]]) -> dict[str, Column]:
    return {name: pa.array(map(text_of, found), pa.string()) for name, found in cells.items()}


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
        cells, _ = _cells(file, sheet_of(file, source), list(columns))
        yield _texts({name: found[:_SAMPLED] for name, found in cells.items()})
