"""The bad rows of a job."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec
from aiohttp import web

from api_service.app_keys import QUARANTINE, TENANT
from api_service.handlers.bodies import stream, whole
from api_service.services.quarantine import QuarantineService
from api_service.wire import parameters
from api_service.wire.headers import PAGE_OR_LINES, negotiated
from api_service.wire.pages import csv_line, decode_cursor
from api_service.wire.quarantine import (
    COLUMNS,
    QuarantineCursor,
    csv_lines,
    ndjson_lines,
    quarantine_page,
)
from shared.core.entities import KeptRow
from shared.errors import InvalidCursor

_BEGINNING = (-1, -1)
_STREAMS: dict[str, tuple[str, bytes, Callable[[list[KeptRow]], bytes]]] = {
    "csv": ("text/csv; charset=utf-8; header=present", csv_line(COLUMNS).encode(), csv_lines),
    "ndjson": ("application/x-ndjson", b"", ndjson_lines),
}
"""By format: the media type, the first line, and the lines of some rows."""


async def of_job(request: web.Request) -> web.StreamResponse:
    job_id, service, wanted = request.match_info["id"], request.app[QUARANTINE], _format(request)
    cursor = _cursor(request, job_id, wanted)
    epoch, final = await service.job(request[TENANT], job_id, cursor.epoch if cursor else None)
    if wanted in _STREAMS:
        media, head, lines = _STREAMS[wanted]
        response = web.StreamResponse(headers={"Content-Type": media, "Vary": "Accept"})
        return await stream(request, response, _lines(service, request[TENANT], job_id, epoch, head, lines))
    limit = parameters.list_limit(request.query)
    after = (cursor.chunk, cursor.no) if cursor else _BEGINNING
    async with service.page(request[TENANT], job_id, epoch, after, limit) as (rows, further):
        body = msgspec.json.encode(quarantine_page(job_id, epoch, rows, further=further, final=final))
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Vary": "Accept"})
        response.content_length = len(body)
        return await stream(request, response, whole(body))


def _format(request: web.Request) -> str:
    asked = parameters.single(request.query, "format")
    if asked is not None and asked not in {"json", *_STREAMS}:
        raise parameters.expected("format", "json, csv or ndjson", asked)
    return asked or negotiated(request.headers.getall("Accept", []), PAGE_OR_LINES)


def _cursor(request: web.Request, job_id: str, wanted: str) -> QuarantineCursor | None:
    for name in ("after", "limit"):
        if wanted in _STREAMS and name in request.query:
            raise parameters.invalid(name, f"only a JSON page takes it; {wanted} has all rows")
    after = parameters.single(request.query, "after")
    cursor = None if after is None else decode_cursor(after, QuarantineCursor)
    if cursor is not None and cursor.job_id != job_id:
        raise InvalidCursor("This cursor belongs to another job")
    return cursor


async def _lines(
    service: QuarantineService,
    tenant: str,
    job_id: str,
    epoch: int,
    head: bytes,
    lines: Callable[[list[KeptRow]], bytes],
) -> AsyncGenerator[bytes]:
    """All rows; nothing is sent before the database has answered."""
    async with aclosing(service.all(tenant, job_id, epoch)) as blocks:
        async for block in blocks:
            yield head + lines(block)
            head = b""
    if head:
        yield head
