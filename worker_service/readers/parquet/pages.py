"""The pages of a column chunk of a Parquet file, as the native library takes them."""

import zlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worker_service.arrow import Ints
from worker_service.native.library import Library
from worker_service.readers.bytes.local import SourceFile, pread
from worker_service.readers.parquet.page import first_page

DATA_V2 = 3
"""The type of such pages."""
_FIELDS = 9
TYPE, SIZE, PACKED_SIZE, CHECKSUM = 1, 2, 3, 4
WORDS, WORDS_ENCODING = 7 * _FIELDS + 1, 7 * _FIELDS + 2
LEVELS_SIZE_V2, IS_PACKED_V2 = 8 * _FIELDS + 5, 8 * _FIELDS + 7
"""Places of fields in a header, as `gm_page_headers` writes it."""
_BEGIN = 0
"""The place of the number of bytes between the first header and the body."""
_MISSING = -(2**63)
"""The value of a field that a header does not have."""
_CODECS = {"UNCOMPRESSED", "SNAPPY", "ZSTD"}
_MOST_PAGE = 64 << 20
"""Bytes of a page, before compression and after."""
_MOST_PAGES = 32
"""Pages that are unpacked at once."""


class GivenUp(Exception):
    """Arrow has to decode the column chunk."""


class Page(NamedTuple):
    """Its `body` as it is in the file. Its `values` are unpacked: of data in version 2 without the levels."""

    body: pa.Buffer
    values: pa.Buffer


class Pages:
    """Reads the pages of a column chunk, in file order. Every method raises GivenUp.

    Of packed bytes and of others it holds *share* each, or one page.
    """

    def __init__(self, native: Library, file: SourceFile, chunk: pq.ColumnChunkMetaData, share: int) -> None:
        if chunk.compression not in _CODECS:
            raise GivenUp
        self._codec = None if chunk.compression == "UNCOMPRESSED" else pa.Codec(chunk.compression.lower())
        self._place = first_page(chunk)
        self._end: int = self._place + chunk.total_compressed_size
        if not 0 <= self._place <= self._end <= file.size:
            raise GivenUp
        self._native, self._file, self._share = native, file, share
        self._window, self._at = pa.py_buffer(b""), 0
        self.headers: Ints = np.empty((_MOST_PAGES, _FIELDS**2), np.int64)
        """Those of the pages that were read last, one in a row."""

    @property
    def are_read(self) -> bool:
        return self._place == self._end

    def read(self) -> list[Page]:
        """The next pages, at least one."""
        headers = self.headers
        while not (count := self._whole_pages()):
            page = int(headers[0, _BEGIN] + max(headers[0, PACKED_SIZE], 0)) if headers[0, _BEGIN] > 0 else 0
            needed = min(max(self._share, page), self._end - self._place)
            if not self._window.size - self._at < needed <= _MOST_PAGE:
                raise GivenUp
            self._window, self._at = pa.py_buffer(pread(self._file, self._place, needed)), 0
        sizes = headers[:count, SIZE]
        if sizes.min() < 0 or sizes.max() > _MOST_PAGE:
            raise GivenUp
        count = min(count, 1 + int(np.searchsorted(np.cumsum(sizes), self._share)))
        try:
            pages = [self._page(*fields) for fields in headers[:count, _USED].tolist()]
        except (pa.ArrowException, OSError) as error:  # from decompressing
            raise GivenUp from error
        taken = int(headers[count - 1, _BEGIN] + headers[count - 1, PACKED_SIZE])
        self._at += taken
        self._place += taken
        return pages

    def _whole_pages(self) -> int:
        """How many pages the window has whole; reads their headers."""
        at, rest = self._window.address + self._at, self._window.size - self._at
        return int(self._native.gm_page_headers(at, rest, _MOST_PAGES, self.headers.ctypes.data))

    def _page(
        self, begin: int, kind: int, size: int, packed_size: int, checksum: int, levels: int, is_packed: int
    ) -> Page:
        body = self._window.slice(self._at + begin, packed_size)
        if checksum != _MISSING and zlib.crc32(body) != checksum % 2**32:
            raise GivenUp
        if kind != DATA_V2:
            return Page(body, self._unpacked(body, size))
        if not 0 <= levels <= min(packed_size, size):
            raise GivenUp
        values = body.slice(levels)
        return Page(body, self._unpacked(values, size - levels) if is_packed else values)

    def _unpacked(self, data: pa.Buffer, size: int) -> pa.Buffer:
        if self._codec is None or data.size == size == 0:
            return data
        if self._codec.name == "snappy" and _snappy_size(data) != size:
            raise GivenUp
        return self._codec.decompress(data, size)


_USED = [_BEGIN, TYPE, SIZE, PACKED_SIZE, CHECKSUM, LEVELS_SIZE_V2, IS_PACKED_V2]
"""The fields that `Pages._page` takes."""


def _snappy_size(data: pa.Buffer) -> int:
    """The size before compression that the data tell; Arrow's codec sets no bytes beyond it."""
    size, first = 0, bytes(memoryview(data)[:5])
    for number, octet in enumerate(first):
        size |= (octet & 127) << 7 * number
        if octet < 128:
            return size
    return -1
