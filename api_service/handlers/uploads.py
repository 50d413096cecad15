"""Storing, listing, reading and deleting uploads."""

from dataclasses import replace

from aiohttp import web

from api_service.app_keys import LINKS, SETTINGS, TENANT, UPLOADS
from api_service.handlers.bodies import blocks, check_uncompressed, json_response
from api_service.handlers.forms import FIELD_BYTES, FormFile, file_of
from api_service.wire import parameters
from api_service.wire.documents import Page, upload_document
from api_service.wire.headers import promised_sha256
from shared.errors import UnsupportedMediaType


async def create(request: web.Request) -> web.Response:
    """Store the body, or the file of the form that it is."""
    check_uncompressed(request)
    file = await file_sent(request)
    upload = await request.app[UPLOADS].put(
        request[TENANT],
        file.blocks,
        filename=file.filename,
        sha256=file.sha256,
        size=0 if request.content_type == "multipart/form-data" else request.content_length or 0,
    )
    headers = {"Location": request.app[LINKS](f"/v1/uploads/{upload.id}")}
    return json_response(upload_document(upload), status=201, headers=headers)


async def file_sent(request: web.Request) -> FormFile:
    """The body as a file, or the file of the form that it is; `filename` of the query names it."""
    settings = request.app[SETTINGS]
    is_form = request.content_type == "multipart/form-data"
    if request.content_type.startswith("multipart/") and not is_form:
        raise UnsupportedMediaType(
            f"Send the file itself as the body, or a form of one file (multipart/form-data), and no "
            f"{request.content_type}: curl --data-binary @file, or curl -F file=@file"
        )
    filename = parameters.filename(request.query)
    body = blocks(
        request,
        settings.max_upload_bytes + (FIELD_BYTES if is_form else 0),
        seconds=settings.max_upload_seconds,
        rate=settings.min_upload_bytes_per_second,
    )
    if is_form:
        file = await file_of(request, body, settings.max_upload_bytes)
        return replace(file, filename=filename or file.filename)
    sha256 = promised_sha256(request.headers.getall("Content-Digest", []))
    return FormFile(filename, sha256, body, {})


async def search(request: web.Request) -> web.Response:
    found, further = await request.app[UPLOADS].newest(
        request[TENANT],
        after=parameters.after(request.query, parameters.UPLOAD),
        limit=parameters.list_limit(request.query),
    )
    return json_response(Page(list(map(upload_document, found)), found[-1].id if further else None))


async def read(request: web.Request) -> web.Response:
    return json_response(
        upload_document(await request.app[UPLOADS].get(request[TENANT], request.match_info["id"]))
    )


async def delete(request: web.Request) -> web.Response:
    await request.app[UPLOADS].delete(request[TENANT], request.match_info["id"])
    return web.Response(status=204)
