"""Files of given bytes as the readers take them, and everything that a dataset holds, read back."""

import io
import os
import tempfile
import zipfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from shared.spec.models import Options
from shared.spec.source import CsvOptions, SourceSpec
from worker_service.child.bad_rows import BadRows
from worker_service.readers import SourceFile, batches, plan


@dataclass
class RecordCount:
    records: int = 0


def read(file, extent, spec, schema, columns, batch_bytes, count=None):
    """The tables of an extent that have rows; *count* gets the records. The first bad row is raised."""
    bad = BadRows(Options())
    bad.begin(extent.rows)
    for table in map(bad.take, batches(file, extent, spec, schema, columns, batch_bytes)):
        if table.num_rows:
            yield table
    if count:
        count.records += bad.counts.read


@contextmanager
def opened(*contents):
    """Anonymous files with these *contents*, named t0, t1, …"""
    with ExitStack() as stack:
        files = []
        for i, data in enumerate(contents):
            fd = os.memfd_create(f"t{i}")
            stack.callback(os.close, fd)
            os.write(fd, data)
            files.append(SourceFile(opened=partial(int, fd), uri=f"file:///data/t{i}", size=len(data)))
        yield files


@contextmanager
def stored(data):
    """The path of a file with that content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t0")
        path.write_bytes(data)
        yield path


def source(types=None, *, timezone="UTC", compression="auto", file_format="auto", **csv):
    return SourceSpec(
        uris=("file:///data/t0",),
        format=file_format,
        compression=compression,
        csv=CsvOptions(**csv),
        types=types or {},
        timezone=timezone,
    )


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def schema_of(*contents, spec=None):
    """Column name -> type as text."""
    with opened(*contents) as files:
        return {field.name: str(field.type) for field in plan(files, spec or source(), 1000).schema.fields}


def tables(*contents, spec=None, columns=None, chunk_bytes=1 << 20, batch_bytes=1 << 20):
    """The frames of *columns* (all of them unless told) of a dataset in file order."""
    spec = spec or source()
    with opened(*contents) as files:
        planned = plan(files, spec, chunk_bytes)
        used = planned.schema.names if columns is None else columns
        return [
            frame
            for extents in planned.extents
            for extent in extents
            for frame in read(files[extent.file], extent, planned.source, planned.schema, used, batch_bytes)
        ]


def rows(*contents, **options):
    return [tuple(row.values()) for frame in tables(*contents, **options) for row in frame.to_pylist()]


def rows_at_every_cut(*contents, spec=None):
    """The rows; they and the count of records have to be the same for every chunk size and batch size."""
    most = max(map(len, contents)) + 1
    whole = rows(*contents, spec=spec)
    with opened(*contents) as files:
        for size in range(1, most):
            found, count = _read_back(files, spec or source(), chunk_bytes=size, batch_bytes=most - size)
            assert found == whole, size
            assert count.records == len(whole), size
    return whole


def _read_back(files, spec, chunk_bytes, batch_bytes):
    planned, count = plan(files, spec, chunk_bytes), RecordCount()
    names = planned.schema.names
    frames = (
        frame
        for extents in planned.extents
        for e in extents
        for frame in read(files[e.file], e, planned.source, planned.schema, names, batch_bytes, count)
    )
    return [tuple(row.values()) for frame in frames for row in frame.to_pylist()], count
