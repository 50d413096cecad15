"""Resumable uploads by the tus protocol."""

from collections.abc import AsyncIterator

from aiohttp import web

from api_service.app_keys import LINKS, RESUMABLE_UPLOADS, SETTINGS, TENANT, UPLOADS
from api_service.handlers.bodies import blocks, check_uncompressed
from api_service.wire import tus
from shared.db.uploads import AnyUpload
from shared.errors import BadRequest, UnsupportedMediaType


async def put_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that every answer of the protocol has, errors included."""
    if request.match_info.handler.__module__ == __name__:
        response.headers.update(tus.EVERY_ANSWER)


async def describe(request: web.Request) -> web.Response:
    return web.Response(
        status=204,
        headers={
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Max-Size": str(request.app[SETTINGS].max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        },
    )


async def create(request: web.Request) -> web.Response:
    tus.check_version(request.headers)
    size = tus.upload_length(request.headers, request.app[SETTINGS].max_upload_bytes)
    metadata = request.headers.get("Upload-Metadata")
    filename = tus.filename_of(metadata)
    with_bytes = request.content_type == tus.OFFSET_MEDIA
    if request.body_exists and not with_bytes:
        raise UnsupportedMediaType(f"Send the first bytes as Content-Type: {tus.OFFSET_MEDIA}, or no body")
    uploads = request.app[RESUMABLE_UPLOADS]
    upload: AnyUpload = await uploads.create(request[TENANT], size=size, filename=filename, metadata=metadata)
    if with_bytes:
        try:
            upload = await _append(request, upload.id, 0)
        except BaseException:
            await request.app[UPLOADS].delete(request[TENANT], upload.id)  # its client knows no URL of it
            raise
    elif size == 0:
        upload = await uploads.state(request[TENANT], upload.id)
    location = request.app[LINKS](f"{request.path}/{upload.id}")
    return web.Response(status=201, headers={"Location": location} | tus.progress(upload))


async def head(request: web.Request) -> web.Response:
    tus.check_version(request.headers)
    upload = await request.app[RESUMABLE_UPLOADS].state(request[TENANT], request.match_info["id"])
    return web.Response(headers=tus.progress(upload) | tus.description(upload))


async def append(request: web.Request) -> web.Response:
    tus.check_version(request.headers)
    if request.content_type != tus.OFFSET_MEDIA:
        raise UnsupportedMediaType(f"Send the bytes as Content-Type: {tus.OFFSET_MEDIA}")
    upload = await _append(request, request.match_info["id"], tus.upload_offset(request.headers))
    return web.Response(status=204, headers=tus.progress(upload))


async def terminate(request: web.Request) -> web.Response:
    tus.check_version(request.headers)
    await request.app[UPLOADS].delete(request[TENANT], request.match_info["id"])
    return web.Response(status=204)


async def override(request: web.Request) -> web.Response:
    """The method of X-HTTP-Method-Override, for a client that can send only GET and POST."""
    methods = {"PATCH": append, "DELETE": terminate}
    wanted = request.headers.get("X-HTTP-Method-Override", "")
    if wanted not in methods:
        raise BadRequest(
            f"A POST to an upload needs X-HTTP-Method-Override: PATCH or DELETE, and has {wanted[:100]!r}"
        )
    return await methods[wanted](request)


async def _append(request: web.Request, upload_id: str, offset: int) -> AnyUpload:
    check_uncompressed(request)
    settings = request.app[SETTINGS]

    def body(most: int) -> AsyncIterator[bytes]:
        return blocks(
            request,
            most,
            seconds=settings.max_upload_seconds,
            rate=settings.min_upload_bytes_per_second,
        )

    return await request.app[RESUMABLE_UPLOADS].append(
        request[TENANT], upload_id, offset, body, tus.checksum(request.headers)
    )
