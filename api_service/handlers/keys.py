"""Making, listing and revoking API keys."""

from aiohttp import web

from api_service.app_keys import CALLER, KEYS, LINKS
from api_service.handlers.bodies import BODY_BYTES, json_body, json_response
from api_service.wire import parameters
from api_service.wire.documents import Page
from api_service.wire.keys import KeyRequest, key_document, made_key_document
from shared.spec.bodies import read_body


async def create(request: web.Request) -> web.Response:
    wish = read_body(KeyRequest, await json_body(request, BODY_BYTES))
    key, text = await request.app[KEYS].make(
        request[CALLER], name=wish.name, scopes={*wish.scopes}, expires=wish.lifetime, job=wish.job
    )
    headers = {"Location": request.app[LINKS](f"/v1/keys/{key.id}")}
    return json_response(made_key_document(key, text), status=201, headers=headers)


async def search(request: web.Request) -> web.Response:
    keys, further = await request.app[KEYS].page(
        request[CALLER],
        after=parameters.after(request.query, parameters.KEY),
        limit=parameters.list_limit(request.query),
    )
    return json_response(Page([*map(key_document, keys)], keys[-1].id if further else None))


async def read(request: web.Request) -> web.Response:
    return json_response(key_document(await request.app[KEYS].get(request[CALLER], request.match_info["id"])))


async def revoke(request: web.Request) -> web.Response:
    await request.app[KEYS].revoke(request[CALLER], request.match_info["id"])
    return web.Response(status=204)
