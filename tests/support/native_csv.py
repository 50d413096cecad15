"""What both paths of the CSV reader tell of the same bytes."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from shared.core.plan import Extent
from shared.errors import GristmillError
from shared.spec.types import Schema
from tests.support.datasets import opened, source
from tests.support.native import path
from worker_service.native import library
from worker_service.readers import batches
from worker_service.readers.csv.blocks import stream_blocks
from worker_service.readers.csv.file import csv_file
from worker_service.readers.csv.native.separators import separated
from worker_service.readers.fields import Fields, column, values


def taken(cells, field, spec=None):
    """The values of *cells*, bytes of a column of a file with tabs, and which of them the library refuses."""
    spec = spec or source(delimiter="\t")
    data = b"".join(b"0\t%b\n" % cell for cell in cells)
    with opened(data) as [file]:
        found = replace(csv_file(file, spec), names=("i", field.column))
        [block] = stream_blocks(found, 0, len(data))
    lines = separated(block, found.dialect, 2, library())
    assert not lines.odd.size
    assert lines.first.size == len(cells)
    refused, octets = np.zeros(len(cells), np.uint8), np.frombuffer(block.data, np.uint8)
    masked = np.frombuffer(block.masked, np.uint8)
    fields = Fields(
        data=octets.ctypes.data,
        masked=masked.ctypes.data,
        limit=octets.size,
        found=lines.found.ctypes.data,
        base=lines.first.ctypes.data,
        rows=len(cells),
        refused=refused.ctypes.data,
        quote=found.dialect.quote[0],
        flags=lines.flags,
        last=1,
    )
    array = values(fields, column(field, 1, spec), library())
    array.validate(full=True)
    return array, refused.astype(bool)


def read(data, fields, spec, *, mode, batch_bytes=1 << 20, columns=None, errors=3):
    """All that can be told of the records behind the header of *data*, or the error of reading them.

    Of each batch so many *errors* are made: each takes a look at the whole batch.
    """
    schema = Schema(tuple(fields))
    start = 0 if not spec.csv.header else data.index(b"\n") + 1
    with path(mode), opened(data) as [file]:
        extent = Extent(0, start, len(data), None)
        used = [field.name for field in fields] if columns is None else columns
        try:
            found = batches(file, extent, spec, schema, used, batch_bytes)
            return [_told(batch, errors) for batch in found]
        except GristmillError as error:
            return type(error), str(error), getattr(error, "kinds", None)


def _told(batch, errors):
    table, bad = batch.table, list(batch.bad_rows())
    return {
        "columns": {name: _plain(table.column(name)) for name in table.column_names},
        "records": batch.records,
        "rows": table.num_rows,
        "lines": batch.lines(),
        "numbers": batch.numbers(np.arange(table.num_rows)).tolist(),
        "bad": [(row.byte, row.record, row.truncated, row.lines_before(), row.detail()) for row in bad],
        "errors": [str(row.error()) for row in bad[:errors]],
    }


def _plain(chunked):
    array = chunked.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return str(array.type), [repr(value) for value in array.to_pylist()]


def same(data, fields, spec, **options):
    """What both paths tell of *data*, which has to be equal."""
    fast = read(data, fields, spec, mode="auto", **options)
    assert fast == read(data, fields, spec, mode="off", **options)
    return fast
