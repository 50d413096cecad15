"""Named results, the rows of a job or of a result, and receipts."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from aiohttp import web

from api_service.app_keys import RESULTS, TENANT
from api_service.handlers.bodies import json_response, stream, whole
from api_service.services.results import ResultService
from api_service.wire import parameters
from api_service.wire.documents import result_document
from api_service.wire.pages import Cursor, csv_line, decode_cursor, page_document
from api_service.wire.row_queries import RowColumns, format_of, parse_row_query, version_number
from shared.core.entities import Version
from shared.core.row_query import RowQuery


async def search(request: web.Request) -> web.Response:
    parameters.only(request.query, ("after", "limit"))
    after, limit = parameters.after_result(request.query), parameters.list_limit(request.query)
    versions, further = await request.app[RESULTS].all(request[TENANT], after=after, limit=limit)
    items = [result_document(version) for version in versions]
    return json_response({"items": items, "next": versions[-1].name if further else None})


async def read(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    version = await request.app[RESULTS].current(request[TENANT], request.match_info["name"])
    return json_response(result_document(version))


async def receipt_of_job(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    return json_response(await request.app[RESULTS].receipt(request[TENANT], request.match_info["id"]))


async def rows_of_job(request: web.Request) -> web.StreamResponse:
    if "version" in request.query:
        raise parameters.invalid(
            "version", "a job has one version; ask for another at /v1/results/{name}/rows"
        )
    cursor = _cursor(request)
    walked = cursor.job_id if cursor else None
    version = await request.app[RESULTS].of_job(request[TENANT], request.match_info["id"], walked)
    return await _rows(request, version, cursor)


async def rows_of_result(request: web.Request) -> web.StreamResponse:
    cursor = _cursor(request)
    walked = cursor.job_id if cursor else None
    number = version_number(request.query)
    version = await request.app[RESULTS].of_name(request[TENANT], request.match_info["name"], number, walked)
    return await _rows(request, version, cursor)


def _cursor(request: web.Request) -> Cursor | None:
    after = parameters.single(request.query, "after")
    return None if after is None else decode_cursor(after, Cursor)


async def _rows(request: web.Request, version: Version, cursor: Cursor | None) -> web.StreamResponse:
    wanted = format_of(request.query, request.headers.getall("Accept", []))
    columns = RowColumns.of(version.columns)
    query = parse_row_query(request.query, columns, wanted, cursor)
    results = request.app[RESULTS]
    if wanted == "csv":
        response = web.StreamResponse(
            headers={"Content-Type": "text/csv; charset=utf-8; header=present", "Vary": "Accept"}
        )
        return await stream(request, response, _csv(results, version, query))
    async with results.page(version, query) as rows:
        body = msgspec.json.encode(page_document(version, query, columns.types, rows))
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Vary": "Accept"})
        response.content_length = len(body)
        return await stream(request, response, whole(body))


async def _csv(results: ResultService, version: Version, query: RowQuery) -> AsyncGenerator[bytes]:
    """A line of names, then the rows; nothing is sent before the database has answered."""
    names = csv_line(query.columns).encode()
    async with aclosing(results.csv(version, query)) as blocks:
        async for block in blocks:
            yield names + block
            names = b""
    if names:
        yield names
