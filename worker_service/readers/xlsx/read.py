"""Reads the rows of a sheet as batches."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice

import numpy as np
import pyarrow as pa

from shared.core.plan import Extent
from shared.spec.source import CsvOptions, SourceSpec
from shared.spec.types import Field, Schema
from worker_service.readers import literals
from worker_service.readers.batch import BadRow, Batch, Fault
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
    cells = [[row[places[field.column]] for _, row in rows] for field in fields]
    found = [converted(each, field, source) for each, field in zip(cells, fields, strict=True)]
    values = {field.name: each.values for field, each in zip(fields, found, strict=True)}
    numbers = [number for number, _ in rows]
    batch = Batch(
        pa.table(values or {"": pa.array([True] * len(rows))}), len(rows), partial(_located, file, numbers)
    )
    wrong = [each.misfits for each in found if each.misfits is not None]

    def fault(at: int) -> Fault:
        field, column = next(
            (field, each)
            for field, each, (_, misfits) in zip(fields, cells, found, strict=True)
            if misfits is not None and misfits[at]
        )
        text = text_of(column[at]) or ""
        why = literals.refusal(
            text, field, source, lambda: pa.array([text_of(cell) for cell in column], pa.string())
        )
        return Fault(why.reason, field.column, text, cure=why.cure)

    return batch.without(np.logical_or.reduce(wrong), fault) if wrong else batch


def _located(file: SourceFile, numbers: list[int], found: Iterable[tuple[int, Fault]]) -> Iterator[BadRow]:
    return (BadRow(uri=file.uri, row=numbers[at], fault=fault) for at, fault in found)
