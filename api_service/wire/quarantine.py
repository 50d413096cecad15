"""Bad rows on the wire: JSON pages with their cursors, lines of CSV and of NDJSON."""

from collections.abc import Iterable
from typing import Annotated

import msgspec

from api_service.wire.pages import JobId, encode_cursor
from shared.core.entities import KeptRow

_INTEGER = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class QuarantineCursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The end of a page: a row of a chunk, in one epoch of a job."""

    job_id: JobId
    epoch: _INTEGER
    chunk: _INTEGER
    no: _INTEGER


class KeptRowDocument(msgspec.Struct, frozen=True, kw_only=True):
    uri: str
    byte: int | None
    line: int | None
    row: int | None
    column: str | None
    reason: str
    value: str | None
    text: str | None
    truncated: bool


class QuarantinePage(msgspec.Struct, frozen=True, kw_only=True):
    """`final`: the job has ended, and its bad rows do not change any more."""

    items: list[KeptRowDocument]
    next: str | None
    final: bool


COLUMNS = KeptRowDocument.__struct_fields__
_encode = msgspec.json.Encoder()


def row_document(row: KeptRow) -> KeptRowDocument:
    return KeptRowDocument(**{name: getattr(row, name) for name in COLUMNS})


def quarantine_page(
    job_id: str, epoch: int, rows: list[KeptRow], *, further: bool, final: bool
) -> QuarantinePage:
    after = None
    if further:
        after = encode_cursor(QuarantineCursor(job_id, epoch, rows[-1].chunk, rows[-1].no))
    return QuarantinePage(items=[row_document(row) for row in rows], next=after, final=final)


def ndjson_lines(rows: Iterable[KeptRow]) -> bytes:
    return _encode.encode_lines([row_document(row) for row in rows])


def csv_lines(rows: Iterable[KeptRow]) -> bytes:
    """RFC 4180; a null is an empty field, and an empty text is "", as in the rows of a result."""
    cells = ([_cell(getattr(row, name)) for name in COLUMNS] for row in rows)
    return "".join(",".join(line) + "\r\n" for line in cells).encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if not text or set(text) & set(',"\r\n') else text
