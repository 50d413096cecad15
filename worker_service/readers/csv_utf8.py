"""What the parser gets of a block: UTF-8 without comments."""

from codecs import BOM_UTF8

import pyarrow as pa

from worker_service.readers.csv_split import Block, comments
from worker_service.readers.shape import Dialect


class BadByte(Exception):
    """The byte at *at* of the block is NUL, or no text in the encoding."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def utf8(block: Block, dialect: Dialect) -> pa.Buffer:
    """The records of *block*.

    Under UTF-8 the parser itself checks the text of the columns in use. Raises BadByte.
    """
    spans = _kept(block, dialect) if dialect.comment else [(0, block.size)]
    for start, stop in spans:
        if (at := block.data.find(b"\0", start, stop)) >= 0:
            raise BadByte(at)
    data = pa.py_buffer(block.data).slice(0, block.size)
    if spans != [(0, block.size)]:
        data = pa.py_buffer(b"".join(block.data[start:stop] for start, stop in spans))
    if dialect.encoding != "utf-8" and not block.data.isascii():
        data = pa.py_buffer(_decoded(data, spans, dialect.encoding).encode())
    if (
        data.slice(0, min(data.size, 3)).to_pybytes() == BOM_UTF8
    ):  # pyarrow drops one at the start of every buffer; here it is text
        data = pa.py_buffer(BOM_UTF8 + data.to_pybytes())
    return data


def _kept(block: Block, dialect: Dialect) -> list[tuple[int, int]]:
    """The spans between the comments.

    A carriage return before one and a line feed behind it do not become one line end.
    """
    data, spans, at = block.data, list[tuple[int, int]](), 0
    for start, end in comments(block.shape[: block.size], dialect):
        if start > at:
            spans.append((at, start))
        parted = (
            bool(spans)
            and data[spans[-1][1] - 1 : spans[-1][1]] == b"\r"
            and end < block.size
            and data[end : end + 1] == b"\n"
        )
        at = end - parted  # the comment's own line feed joins that carriage return
    return [*spans, (at, block.size)] if at < block.size else spans


def _decoded(data: pa.Buffer, spans: list[tuple[int, int]], encoding: str) -> str:
    try:
        return str(memoryview(data), encoding)
    except UnicodeDecodeError as error:
        at = error.start
        for start, stop in spans:
            if at < stop - start:
                raise BadByte(start + at) from error
            at -= stop - start
        raise
