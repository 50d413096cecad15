"""Parquet files and Arrow streams, written as frames while the rows come."""

import io
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet

from api_service.encoding.columns import Columns
from api_service.services.child_process import FRAME_BYTES, frame
from api_service.services.encoder import Encoding

BATCH_BYTES = 4 * 1024**2
"""About so much CSV becomes one table: a record batch of Arrow, or a part of a row group."""
GROUP_BYTES, GROUP_ROWS = 16 * 1024**2, 1024**2
"""A row group of Parquet ends at so many bytes of Arrow, or at so many rows."""
FRAME_OUT_BYTES = 256 * 1024


def encode(encoding: Encoding, blocks: Iterable[bytes], answers: BinaryIO) -> None:
    """Write the file of *blocks* as frames, then an empty frame. A file that broke off has none."""
    columns = Columns(encoding.columns)
    tables = (columns.table(batch) for batch in _batches(blocks, BATCH_BYTES))
    with pa.PythonFile(io.BufferedWriter(_Frames(answers), FRAME_OUT_BYTES), "w") as sink:
        if encoding.format == "parquet":
            with pyarrow.parquet.ParquetWriter(sink, columns.schema) as writer:
                for group in _groups(tables):
                    writer.write_table(group, row_group_size=GROUP_ROWS)
        else:
            with pa.ipc.new_stream(sink, columns.schema) as writer:
                for table in tables:
                    writer.write_table(table)
    answers.write(frame(b""))
    answers.flush()


def _batches(blocks: Iterable[bytes], least: int) -> Iterator[bytes]:
    """*blocks* joined to at least so many bytes each, but for the last one."""
    batch, size = [], 0
    for block in blocks:
        batch.append(block)
        size += len(block)
        if size >= least:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    group: list[pa.Table] = []
    for table in tables:
        group.append(table)
        if sum(each.nbytes for each in group) >= GROUP_BYTES:
            yield pa.concat_tables(group)
            group = []
    if group:
        yield pa.concat_tables(group)


class _Frames(io.RawIOBase):
    """Writes each piece as a frame."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        size = len(piece)
        self._answers.write(size.to_bytes(FRAME_BYTES, "little"))
        self._answers.write(piece)
        self._answers.flush()
        return size
