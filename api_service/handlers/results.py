"""Named results, the rows of a job or of a result, and receipts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from aiohttp import web

from api_service.app_keys import LINKS, RESULTS, TENANT
from api_service.handlers.bodies import json_response, stream, whole
from api_service.handlers.compression import LEAST_BYTES, compressed, compressed_whole
from api_service.wire import parameters
from api_service.wire.documents import Page, result_document
from api_service.wire.headers import accepted_coding
from api_service.wire.pages import BOM, Cursor, csv_line, decode_cursor, guarded, page_document
from api_service.wire.row_formats import FORMATS, RowOptions, attachment, format_of, row_options
from api_service.wire.row_queries import RowColumns, parse_row_query, version_number
from shared.core.entities import Version
from shared.core.row_query import RowQuery


async def search(request: web.Request) -> web.Response:
    after, limit = parameters.after(request.query, parameters.RESULT), parameters.list_limit(request.query)
    versions, further = await request.app[RESULTS].all(request[TENANT], after=after, limit=limit)
    items = [result_document(version, request.app[LINKS]) for version in versions]
    return json_response(Page(items, versions[-1].name if further else None))


async def read(request: web.Request) -> web.Response:
    version = await request.app[RESULTS].current(request[TENANT], request.match_info["name"])
    return json_response(result_document(version, request.app[LINKS]))


async def receipt_of_job(request: web.Request) -> web.Response:
    return json_response(await request.app[RESULTS].receipt(request[TENANT], request.match_info["id"]))


async def rows_of_job(request: web.Request) -> web.StreamResponse:
    return await _rows(request, *await version_of_job(request))


async def rows_of_result(request: web.Request) -> web.StreamResponse:
    return await _rows(request, *await version_of_result(request))


async def version_of_job(request: web.Request) -> tuple[Version, Cursor | None]:
    """The version that the URL of a job's rows means; raises NotReady, NoResult or ResultExpired."""
    if "version" in request.query:
        raise parameters.invalid(
            "version", "a job has one version; ask for another at /v1/results/{name}/rows"
        )
    cursor = _cursor(request)
    walked = cursor.job_id if cursor else None
    return await request.app[RESULTS].of_job(request[TENANT], request.match_info["id"], walked), cursor


async def version_of_result(request: web.Request) -> tuple[Version, Cursor | None]:
    """The version that the URL of a result's rows means; raises NotFound or CursorExpired."""
    cursor = _cursor(request)
    walked, number = cursor.job_id if cursor else None, version_number(request.query)
    name = request.match_info["name"]
    return await request.app[RESULTS].of_name(request[TENANT], name, number, walked), cursor


def _cursor(request: web.Request) -> Cursor | None:
    after = parameters.single(request.query, "after")
    return None if after is None else decode_cursor(after, Cursor)


async def _rows(request: web.Request, version: Version, cursor: Cursor | None) -> web.StreamResponse:
    wanted = format_of(request.query, request.headers.getall("Accept", []))
    options = row_options(request.query, wanted)
    columns = RowColumns.of(version.columns)
    query = parse_row_query(request.query, columns, wanted, cursor)
    results, form = request.app[RESULTS], FORMATS[wanted]
    coding = accepted_coding(request.headers.getall("Accept-Encoding", [])) if form.compressible else None
    headers = {"Content-Type": form.media, "Vary": "Accept, Accept-Encoding"}
    if wanted != "json":
        headers |= {"Content-Disposition": attachment(version, wanted)}
        headers |= {"Content-Encoding": coding} if coding else {}
        rows = results.export(version, query, wanted, formula_guard=options.formula_guard)
        chunks = _csv(query, options, rows) if wanted == "csv" else rows
        return await stream(request, web.StreamResponse(headers=headers), compressed(chunks, coding))
    total = None if options.total == "none" else await results.total(version, query, options.total)
    async with results.page(version, query) as page:
        body = msgspec.json.encode(page_document(version, query, columns.types, page, total))
        if coding and len(body) >= LEAST_BYTES:
            body = await compressed_whole(body, coding)
            headers |= {"Content-Encoding": coding}
        response = web.StreamResponse(headers=headers)
        response.content_length = len(body)
        return await stream(request, response, whole(body))


async def _csv(query: RowQuery, options: RowOptions, rows: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """A line of names, then the rows; nothing is sent before the database has answered."""
    names = csv_line([guarded(name) for name in query.columns] if options.formula_guard else query.columns)
    head = (BOM if options.bom else b"") + names.encode()
    async with aclosing(rows):
        async for block in rows:
            yield head + block
            head = b""
    if head:
        yield head
