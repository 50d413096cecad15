"""Column chunks of Parquet files that the native library decodes, in about half of Arrow's time.

It knows columns that are not nested, of the most common types and encodings. It gives up all else, and every
page that contradicts itself: Arrow decodes such a column, or tells its fault.
"""

import ctypes
import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from worker_service.arrow import Array
from worker_service.native.library import library
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.parquet.page import DICTIONARY
from worker_service.readers.parquet.pages import TYPE, WORDS, WORDS_ENCODING, GivenUp, Pages

_NUMBERS = {
    "INT32": (pa.int32(), pa.date32()),
    "INT64": (pa.int64(),),
    "FLOAT": (pa.float32(),),
    "DOUBLE": (pa.float64(),),
}
"""Physical type -> the Arrow types whose values have the same bytes; beside them timestamps."""
_TEXTS = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view
_INDEXES = pa.dictionary(pa.int32(), pa.string())
_UNITS = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
_ENCODINGS = {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"}
"""Those that a column chunk may name. Writers of columns without levels name BIT_PACKED for these."""
_OLD_WRITER = "parquet-cpp version"
"""Arrow before 1.0, whose pages of version 2 may be packed though they say that they are not."""
_PLAIN, _PLAIN_INDEXES = 0, 2
"""Encodings of a dictionary: the second is the name that old writers have for the first."""
_MOST_TEXT = 2**31 - 1
"""Bytes of a column of strings, whose offsets are int32."""


class Form(NamedTuple):
    """How a column is decoded: as numbers, as texts, or as indexes of texts."""

    type: "pa.DataType"
    optional: bool
    """Whether values can be null."""

    @property
    def is_indexes(self) -> bool:
        return bool(pa.types.is_dictionary(self.type))

    @property
    def is_texts(self) -> bool:
        return bool(pa.types.is_string(self.type))

    @property
    def is_numbers(self) -> bool:
        return not (self.is_indexes or self.is_texts)

    @property
    def width(self) -> int:
        """Bytes of a number or an index."""
        return 4 if self.is_indexes else 0 if self.is_texts else self.type.bit_width // 8


def native_forms(
    columns: Mapping[str, tuple[pq.ColumnSchema, "pa.DataType"]], writer: str | None
) -> dict[str, Form]:
    """Those of the columns that the native library can decode, by path. Each is given with its Arrow type."""
    if library() is None or (writer or "").startswith(_OLD_WRITER):
        return {}
    forms = {path: _form(column, arrow) for path, (column, arrow) in columns.items()}
    return {path: form for path, form in forms.items() if form is not None}


def _form(column: pq.ColumnSchema, arrow: "pa.DataType") -> Form | None:
    if column.max_repetition_level or column.max_definition_level > 1:
        return None
    optional = bool(column.max_definition_level)
    if column.physical_type == "BYTE_ARRAY":
        plain = arrow.value_type if pa.types.is_dictionary(arrow) else arrow
        if not any(test(plain) for test in _TEXTS):
            return None
        return Form(_INDEXES if pa.types.is_dictionary(arrow) else pa.string(), optional)
    fits = arrow in _NUMBERS.get(column.physical_type, ()) or _is_time(column, arrow)
    return Form(arrow, optional) if fits else None


def _is_time(column: pq.ColumnSchema, arrow: "pa.DataType") -> bool:
    """Whether the column has times in 64 bits, of the unit that Arrow has."""
    if column.physical_type != "INT64" or not pa.types.is_timestamp(arrow):
        return False
    return bool(_UNITS.get(json.loads(column.logical_type.to_json()).get("timeUnit")) == arrow.unit)


class _Runs(ctypes.Structure):
    """`gm_runs` of the library."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("at", "end", "packed")),
        *((name, ctypes.c_int64) for name in ("taken", "left", "number", "bits")),
    )


class _Chunk(ctypes.Structure):
    """`gm_chunk` of the library."""

    _fields_ = (
        ("levels", _Runs),
        ("indexes", _Runs),
        *((name, ctypes.c_void_p) for name in ("values", "end")),
        ("rows", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("headers", "bodies")),
        *((name, ctypes.c_int64) for name in ("next", "known", "unread")),
        *((name, ctypes.c_void_p) for name in ("words", "bounds")),
        *((name, ctypes.c_int64) for name in ("count", "width", "is_optional", "are_indexes")),
    )


class ColumnChunk:
    """The values of a column chunk, from the first to the last. Every method raises GivenUp."""

    def __init__(self, file: SourceFile, chunk: pq.ColumnChunkMetaData, form: Form, share: int) -> None:
        native = library()
        if native is None or not _ENCODINGS.issuperset(chunk.encodings):
            raise GivenUp
        if form.is_indexes and not chunk.has_dictionary_page:
            raise GivenUp
        self._native, self._form, self._pages = native, form, Pages(native, file, chunk, share)
        self._chunk = _Chunk(
            headers=self._pages.headers.ctypes.data,
            unread=chunk.num_values,
            count=-1,
            width=form.width,
            is_optional=form.optional,
            are_indexes=form.is_indexes,
        )
        self._dictionary: Array | pa.Buffer = pa.array([], pa.string())
        self._kept: object = None
        """The memory behind the pointers of `_chunk`."""
        self._text_bytes = 16

    @property
    def is_read(self) -> bool:
        """Whether nothing follows the rows that were taken."""
        chunk = self._chunk
        return self._pages.are_read and chunk.next == chunk.known and not (chunk.rows or chunk.unread)

    def take(self, rows: int) -> Array:
        """The next *rows* values."""
        present = np.empty(rows, np.uint8)
        values = self._texts(rows, present) if self._form.is_texts else self._numbers(rows, present)
        nulls = rows - int(np.count_nonzero(present.view(np.bool_)))
        bits = pa.py_buffer(np.packbits(present, bitorder="little")) if nulls else None
        if not self._form.is_indexes:
            return pa.Array.from_buffers(self._form.type, rows, [bits, *values], nulls)
        indexes = pa.Array.from_buffers(pa.int32(), rows, [bits, *values], nulls)
        return pa.DictionaryArray.from_arrays(indexes, self._dictionary, safe=False)

    def _numbers(self, rows: int, present: NDArray[np.uint8]) -> list[pa.Buffer]:
        width, chunk = self._form.width, ctypes.byref(self._chunk)
        out = np.empty(rows * width, np.uint8)
        to, marks, done = out.ctypes.data, present.ctypes.data, 0
        while done < rows:
            self._read_on()
            found = self._native.gm_chunk_numbers(chunk, rows - done, to + done * width, marks + done)
            if found < 0:
                raise GivenUp
            done += found
        return [pa.py_buffer(out)]

    def _texts(self, rows: int, present: NDArray[np.uint8]) -> list[pa.Buffer]:
        offsets, out = (
            np.zeros(rows + 1, np.int32),
            np.empty(min(rows * self._text_bytes, _MOST_TEXT), np.uint8),
        )
        ends, marks, chunk, done = offsets.ctypes.data, present.ctypes.data, ctypes.byref(self._chunk), 0
        while done < rows:
            self._read_on()
            to, room = out.ctypes.data, len(out)
            found = self._native.gm_chunk_texts(chunk, rows - done, ends + 4 * done, to, room, marks + done)
            if found < 0:
                raise GivenUp
            done += found
            if self._chunk.rows and done < rows:  # there was no room
                if room == _MOST_TEXT:
                    raise GivenUp
                longer = np.empty(min(2 * room + 4096, _MOST_TEXT), np.uint8)
                longer[: offsets[done]] = out[: offsets[done]]
                out = longer
        self._text_bytes = 1 + int(offsets[rows]) * 5 // (4 * max(rows, 1))
        return [pa.py_buffer(offsets), pa.py_buffer(out)]

    def _read_on(self) -> None:
        """Read more pages, if those read before have no rows left."""
        chunk = self._chunk
        while not chunk.rows and chunk.next == chunk.known:
            pages = self._pages.read()
            first = int(not chunk.known and self._pages.headers[0, TYPE] == DICTIONARY)
            if first:
                self._read_dictionary(pages[0].values)
            bodies = np.array(
                [(body.address, values.address, body.size, values.size) for body, values in pages], np.int64
            )
            chunk.bodies, chunk.next, chunk.known = bodies.ctypes.data, first, len(pages)
            self._kept = bodies, pages

    def _read_dictionary(self, values: pa.Buffer) -> None:
        """Words are plain values."""
        count, encoding = (int(self._pages.headers[0, field]) for field in (WORDS, WORDS_ENCODING))
        form, chunk = self._form, self._chunk
        fits = 0 <= count * (form.width if form.is_numbers else 4) <= values.size
        if not fits or encoding not in (_PLAIN, _PLAIN_INDEXES):
            raise GivenUp
        chunk.count = count
        if form.is_numbers:
            chunk.words, self._dictionary = values.address, values
            return
        words = _Chunk(values=values.address, end=values.address + values.size, rows=count)
        bounds, octets = np.zeros(count + 1, np.int32), np.empty(values.size, np.uint8)
        to, marks = (bounds.ctypes.data, octets.ctypes.data, len(octets)), np.empty(count, np.uint8)
        if self._native.gm_chunk_texts(ctypes.byref(words), count, *to, marks.ctypes.data) != count:
            raise GivenUp
        chunk.bounds, chunk.words = bounds.ctypes.data, octets.ctypes.data
        self._dictionary = pa.StringArray.from_buffers(count, pa.py_buffer(bounds), pa.py_buffer(octets))
