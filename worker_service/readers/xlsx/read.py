"""Reads the rows of a sheet as batches."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pyarrow as pa

from shared.core.plan import Extent
from shared.spec.source import CsvOptions, SourceSpec
from shared.spec.types import Field, Schema
from worker_service.readers.batch import BadRow, Batch
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.xlsx.cells import converted, text_of
from worker_service.readers.xlsx.plan import places_of
from worker_service.readers.xlsx.workbook import Cell, calamine_errors, sheet_of

_CELL_BYTES = 64
"""Of a cell in Python."""


def read(
    file: SourceFile, extent: Extent, source: SourceSpec, schema: Schema, columns: list[str], batch_bytes: int
) -> Iterator[Batch]:
    """See `readers.batches`. The number of a row is that in the sheet."""
    del extent
    sheet = sheet_of(file, source)
    fields = [schema[name] for name in columns]
    places = places_of(file, sheet, {field.column for field in fields})
    plain = source.model_copy(update={"csv": CsvOptions()})
    rows = sheet.rows()
    size = max(batch_bytes // (_CELL_BYTES * len(sheet.names)), 1)
    while True:
        with calamine_errors(file):
            some = list(islice(rows, size))
        if not some:
            return
        yield _batch(file, some, fields, places, plain)


def _batch(
    file: SourceFile,
    rows: list[tuple[int, list[Cell]]],
    fields: list[Field],
    places: dict[str, int],
    source: SourceSpec,
) -> Batch:
    good = np.ones(len(rows), bool)
    bad: dict[int, BadRow] = {}
    values = {}
    for field in fields:
        cells = [row[places[field.column]] for _, row in rows]
        values[field.name], misfits = converted(cells, field, source)
        for at in np.flatnonzero(misfits).tolist() if misfits is not None else ():
            reason = f"{text_of(cells[at])!r} is no {field.type}"
            bad.setdefault(at, _bad_row(file, rows[at][0], field.column, reason))
    good[list(bad)] = False
    table = pa.table(values or {"": pa.array(good)})
    bad_rows = tuple(bad[at] for at in sorted(bad))
    return Batch(table.filter(pa.array(good)) if bad else table, len(rows), bad_rows)


def _bad_row(file: SourceFile, row: int, column: str, reason: str) -> BadRow:
    return BadRow(
        uri=file.uri, row=row, column=column, reason=reason, located=lambda: f"{file.uri}, row {row}"
    )
