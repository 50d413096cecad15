"""The one file of an HTML form (multipart/form-data), read in bounded memory."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web

from api_service.wire.filenames import sane_filename
from api_service.wire.headers import promised_sha256
from shared.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType

FIELD_BYTES = 64 * 1024
"""The most that the text fields of a form may have together, and the lines around all parts."""
LINE_BYTES, MAX_HEADERS = 8190, 32
READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class FormFile:
    """The file of a form: its name, the SHA-256 in hex that its part promises, and its bytes.

    The bytes end with an error if the form does not end well or has another file. `fields` are the text
    fields that stand before the file.
    """

    filename: str | None
    sha256: str | None
    blocks: AsyncIterator[bytes]
    fields: Mapping[str, str]


async def file_of(request: web.Request, body: AsyncIterator[bytes], limit: int) -> FormFile:
    """The file in the form that *body* is; text fields behind it are read over.

    The bytes of the file raise PayloadTooLarge beyond *limit*.
    """
    if request.headers.getall("Content-Digest", []):
        raise BadRequest(
            "Content-Digest of a form covers more than the file; put it among the headers of the file's part"
        )
    form = _Form(request.headers, body)
    found = await form.next_file()
    if found is None:
        raise BadRequest(
            "The form has no file, or none was chosen; it needs one <input type=file>. "
            "With curl: -F file=@sales.csv"
        )
    part, first = found
    return FormFile(
        sane_filename(part.filename),
        promised_sha256(part.headers.getall("Content-Digest", [])),
        _whole_form(form, part, first, limit),
        dict(form.fields),
    )


async def _whole_form(form: "_Form", part: BodyPartReader, first: bytes, limit: int) -> AsyncIterator[bytes]:
    """The bytes of *part*; then the form is read to its end."""
    received, block = len(first), first
    while True:
        if received > limit:
            raise PayloadTooLarge(f"The file is larger than {limit} bytes, the most that is accepted here")
        if block:
            yield block
        if part.at_eof():
            break
        block = await form.read(part)
        received += len(block)
    if (another := await form.next_file()) is not None:
        raise BadRequest(
            f"The form has two files, {part.filename!r} and {another[0].filename!r}; "
            "send each in a request of its own"
        )


class _Form:
    def __init__(self, headers: Any, body: AsyncIterator[bytes]) -> None:
        self._left = FIELD_BYTES
        self.fields: dict[str, str] = {}
        with _readable():
            self._reader = MultipartReader(
                headers,
                _Stream(body),  # type: ignore[arg-type]  # all that the reader calls of a StreamReader
                max_field_size=LINE_BYTES,
                max_headers=MAX_HEADERS,
            )

    async def next_file(self) -> tuple[BodyPartReader, bytes] | None:
        """The next file and its first bytes; a file field in which none was chosen is no file."""
        while True:
            with _readable():
                part = await self._reader.next()
            if part is None:
                return None
            if not isinstance(part, BodyPartReader):
                raise BadRequest("The form has a multipart part; send each file in a request of its own")
            if part.filename is None:
                await self._read_text(part)
                continue
            for name in ("Content-Encoding", "Content-Transfer-Encoding"):
                if part.headers.get(name, "binary").lower() not in {"binary", "8bit", "7bit"}:
                    raise UnsupportedMediaType(
                        f"The part of the file has a {name}; a compressed file is uploaded as it is"
                    )
            first = await self.read(part)
            if part.filename or first:
                return part, first

    async def read(self, part: BodyPartReader) -> bytes:
        with _readable():
            return await part.read_chunk(READ_BYTES)

    async def _read_text(self, field: BodyPartReader) -> None:
        read = bytearray()
        while not field.at_eof():
            block = await self.read(field)
            read += block
            self._left -= len(block)
            if self._left < 0:
                raise PayloadTooLarge(
                    f"The text fields of the form have more than {FIELD_BYTES} bytes; they are not used, so "
                    "leave them out"
                )
        self.fields[field.name or ""] = read.decode(errors="replace")


class _Stream:
    """The body as the stream that aiohttp's MultipartReader reads, with the bounds of `blocks`."""

    def __init__(self, blocks: AsyncIterator[bytes]) -> None:
        self._blocks = blocks
        self._buffer = bytearray()
        self._ended = False

    async def _fill(self) -> None:
        block = await anext(self._blocks, None)
        if block is None:
            self._ended = True
        else:
            self._buffer += block

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def read(self, size: int) -> bytes:
        if not self._buffer and not self._ended:
            await self._fill()
        return self._take(size)

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        most = max_line_length or LINE_BYTES
        while (end := self._buffer.find(b"\n", 0, most)) < 0 and len(self._buffer) < most and not self._ended:
            await self._fill()
        if end < 0 and len(self._buffer) >= most:
            raise BadRequest(f"The form has a line of more than {most} bytes outside its file")
        return self._take(end + 1 or most)

    def unread_data(self, data: bytes) -> None:
        self._buffer[:0] = data

    def at_eof(self) -> bool:
        return self._ended and not self._buffer


@contextmanager
def _readable() -> Iterator[None]:
    """Raise BadRequest for the errors that the reader has for a form that is none."""
    try:
        yield
    except (ValueError, RuntimeError, AssertionError) as error:
        raise BadRequest(f"The form cannot be read: {str(error) or 'its parts are no parts'}") from error
