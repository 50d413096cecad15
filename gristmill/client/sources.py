"""The data of a job in any form that Python has: URIs stay, all else becomes a `Content` to upload."""

import glob
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from gristmill.client.documents import UploadDocument
from gristmill.client.frames import pyarrow

BLOCK_BYTES = 1 << 18
BATCH_ROWS = 1 << 17
"""Rows of a batch of a frame. The service cuts chunks between batches."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""A scheme has two letters or more: one is a drive of Windows."""
_PATTERN = re.compile(r"[*?\[]")


class ArrowStream(Protocol):
    """A frame that speaks Arrow: of pandas, polars, pyarrow, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


One = str | Path | IO[bytes] | ArrowStream | UploadDocument
Sources = One | Sequence[One]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file to be. `blocks(offset)` yields its bytes from there on; `size` is None where only the end tells.

    Only a `repeatable` one can be sent again.
    """

    name: str
    size: int | None
    blocks: Callable[[int], Iterator[bytes]]
    repeatable: bool = True


def contents(sources: Sources | None) -> list[str | Content]:
    """URIs, and the files to upload, in the order of *sources*.

    Raises FileNotFoundError for a path or a pattern without files, TypeError for another kind of object.
    """
    if sources is None:
        return []
    if isinstance(sources, Sequence) and not isinstance(sources, str | bytes):
        return [item for source in sources for item in _of_one(source)]
    return [*_of_one(sources)]


def _of_one(source: Any) -> Iterable[str | Content]:
    if isinstance(source, str) and _URI.match(source) and not Path(source).is_file():
        return [source]
    if isinstance(source, str | Path):
        return [of_file(path) for path in _files(source)]
    if isinstance(source, Mapping) and "uri" in source:
        return [str(source["uri"])]
    if hasattr(source, "__arrow_c_stream__"):
        return [of_frame(source)]
    if hasattr(source, "read"):
        return [of_object(source)]
    raise TypeError(
        f"no source of a job: {type(source).__name__}. Give a path, a pattern, a URI, an open file, "
        "a frame of pandas or polars, or an Arrow table"
    )


def _files(source: str | Path) -> list[Path]:
    """The file of a path, or those of a pattern in the order of their paths.

    A file may be named like a pattern.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name its files, as {path}/*.csv")
    if _PATTERN.search(str(source)):
        names = glob.glob(str(path), recursive=True)  # noqa: PTH207  # it takes absolute patterns
        if files := sorted(each for each in map(Path, names) if each.is_file()):
            return files
    raise FileNotFoundError(
        f"no such file: {path} (in {Path.cwd()}). A file of the service is file:///{{path}}"
    )


def of_file(path: Path) -> Content:
    def blocks(offset: int) -> Iterator[bytes]:
        with path.open("rb") as file:
            file.seek(offset)
            yield from _read(file)

    return Content(name=_readable(path.name), size=path.stat().st_size, blocks=blocks)


def _readable(name: str) -> str:
    """A name as text: one may have bytes that are none."""
    return os.fsencode(name).decode(errors="replace")


def of_object(file: Any) -> Content:
    """An open file from its present position on."""
    if isinstance(file, io.TextIOBase):
        raise TypeError("the file is open as text: open it with mode 'rb', or wrap its bytes in io.BytesIO")
    name = _readable(Path(str(getattr(file, "name", "data"))).name)
    if not (hasattr(file, "seekable") and file.seekable()):
        return Content(name=name, size=None, blocks=lambda _: _read(file), repeatable=False)
    start = file.tell()
    size = file.seek(0, io.SEEK_END) - start

    def blocks(offset: int) -> Iterator[bytes]:
        file.seek(start + offset)
        return _read(file)

    return Content(name=name, size=size, blocks=blocks)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


class _Sink:
    """A file of which the written bytes are taken again and again."""

    closed = False

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self.pieces.append(bytes(data))
        return len(self.pieces[-1])

    def flush(self) -> None: ...

    def taken(self) -> bytes:
        taken, self.pieces = b"".join(self.pieces), []
        return taken


def of_frame(frame: ArrowStream) -> Content:
    """An Arrow file of a frame, made as it is sent."""
    pa = pyarrow("a frame as a source")

    def blocks(_: int) -> Iterator[bytes]:
        reader, sink = pa.RecordBatchReader.from_stream(frame), _Sink()
        with pa.ipc.new_file(
            sink, reader.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
        ) as writer:
            for batch in reader:
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    writer.write_batch(batch.slice(start, BATCH_ROWS))
                    yield sink.taken()
        yield sink.taken()

    reusable = not isinstance(frame, pa.RecordBatchReader)
    return Content(name=f"{type(frame).__name__}.arrow", size=None, blocks=blocks, repeatable=reusable)
