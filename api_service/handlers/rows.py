"""The rows of a job or of a named result, as JSON pages or as one CSV stream."""

import msgspec
from aiohttp import web

from api_service.bodies import stream, whole
from api_service.keys import RESULTS, TENANT
from api_service.wire.cursors import Cursor, decode_cursor
from api_service.wire.parameters import invalid, single
from api_service.wire.row_queries import RowColumns, format_of, parse_row_query, version_number
from shared.core.entities import Version


async def of_job(request: web.Request) -> web.StreamResponse:
    if "version" in request.query:
        raise invalid("version", "a job has one version; ask for another at /v1/results/{name}/rows")
    cursor = _cursor(request)
    version = await request.app[RESULTS].of_job(request[TENANT], request.match_info["id"], cursor)
    return await _rows(request, version, cursor)


async def of_result(request: web.Request) -> web.StreamResponse:
    cursor = _cursor(request)
    number = version_number(request.query)
    version = await request.app[RESULTS].of_name(request[TENANT], request.match_info["name"], number, cursor)
    return await _rows(request, version, cursor)


def _cursor(request: web.Request) -> Cursor | None:
    after = single(request.query, "after")
    return None if after is None else decode_cursor(after)


async def _rows(request: web.Request, version: Version, cursor: Cursor | None) -> web.StreamResponse:
    wanted = format_of(request.query, request.headers.getall("Accept", []))
    columns = RowColumns.of(version.columns)
    query = parse_row_query(request.query, columns, wanted, cursor)
    results = request.app[RESULTS]
    if wanted == "csv":
        response = web.StreamResponse(
            headers={"Content-Type": "text/csv; charset=utf-8; header=present", "Vary": "Accept"}
        )
        return await stream(request, response, results.csv(version, query))
    shown = [{"name": name, "type": columns.types[name]} for name in query.columns]
    async with results.page(version, query) as page:
        document = {"items": page.items, "next": page.next, "version": version.version, "columns": shown}
        body = msgspec.json.encode(document)
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Vary": "Accept"})
        response.content_length = len(body)
        return await stream(request, response, whole(body))
