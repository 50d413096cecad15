"""Storing, reading and deleting uploads."""

from aiohttp import web

from api_service.app_keys import SETTINGS, TENANT, UPLOADS
from api_service.handlers.bodies import blocks, check_uncompressed, json_response
from api_service.wire import parameters
from api_service.wire.documents import upload_document
from api_service.wire.headers import promised_sha256
from shared.errors import UnsupportedMediaType


async def create(request: web.Request) -> web.Response:
    parameters.only(request.query, ("filename",))
    check_uncompressed(request)
    if request.content_type.startswith("multipart/"):
        raise UnsupportedMediaType(
            "Send the file itself as the body, not a form: curl --data-binary @file, or curl -T file -X POST"
        )
    settings = request.app[SETTINGS]
    body = blocks(
        request,
        settings.max_upload_bytes,
        seconds=settings.max_upload_seconds,
        rate=settings.min_upload_bytes_per_second,
    )
    upload = await request.app[UPLOADS].put(
        request[TENANT],
        body,
        filename=parameters.filename(request.query),
        sha256=promised_sha256(request.headers.getall("Content-Digest", [])),
    )
    return json_response(
        upload_document(upload), status=201, headers={"Location": f"/v1/uploads/{upload.id}"}
    )


async def read(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    return json_response(
        upload_document(await request.app[UPLOADS].get(request[TENANT], request.match_info["id"]))
    )


async def delete(request: web.Request) -> web.Response:
    parameters.only(request.query, ())
    await request.app[UPLOADS].delete(request[TENANT], request.match_info["id"])
    return web.Response(status=204)
