"""The named results, each as its current version."""

from aiohttp import web

from api_service.handlers.answers import json_response
from api_service.keys import RESULTS, TENANT
from api_service.wire import parameters
from api_service.wire.documents import result_document


async def search(request: web.Request) -> web.Response:
    parameters.only(request.query, ("after", "limit"))
    after, limit = parameters.after_result(request.query), parameters.list_limit(request.query)
    versions, further = await request.app[RESULTS].all(request[TENANT], after=after, limit=limit)
    return json_response(
        {
            "items": [result_document(version) for version in versions],
            "next": versions[-1].name if further else None,
        }
    )


async def read(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    return json_response(
        result_document(await request.app[RESULTS].current(request[TENANT], request.match_info["name"]))
    )
