"""Deleting jobs and results, and listing the versions of a result."""

from aiohttp import web

from api_service.app_keys import DELETING, LINKS, TENANT
from api_service.handlers.bodies import json_response
from api_service.wire import parameters
from api_service.wire.documents import Page, result_document


async def job(request: web.Request) -> web.Response:
    await request.app[DELETING].job(request[TENANT], request.match_info["id"])
    return web.Response(status=204)


async def result(request: web.Request) -> web.Response:
    await request.app[DELETING].result(request[TENANT], request.match_info["name"])
    return web.Response(status=204)


async def version(request: web.Request) -> web.Response:
    name, number = request.match_info["name"], int(request.match_info["version"])
    await request.app[DELETING].version(request[TENANT], name, number)
    return web.Response(status=204)


async def versions(request: web.Request) -> web.Response:
    found, further = await request.app[DELETING].versions(
        request[TENANT],
        request.match_info["name"],
        after=parameters.after_version(request.query),
        limit=parameters.list_limit(request.query),
    )
    items = [result_document(each, request.app[LINKS]) for each in found]
    return json_response(Page(items, str(items[-1].version) if further else None))
