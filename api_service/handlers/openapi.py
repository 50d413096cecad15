"""The OpenAPI document, and the page that shows it."""

from importlib.resources import files

from aiohttp import web

from api_service.app_keys import OPENAPI
from api_service.handlers.bodies import json_response
from shared.errors import NotFound

_ASSETS = files("api_service") / "assets"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page loads its own files only. Its library sets styles of elements."""
_FILES = {
    "swagger-ui-bundle.js": ("swagger_ui/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": ("swagger_ui/swagger-ui.css", "text/css"),
    "docs.js": ("docs.js", "text/javascript"),
}


async def read(request: web.Request) -> web.Response:
    return json_response(request.app[OPENAPI].document)


async def page(_: web.Request) -> web.Response:
    return web.Response(
        body=_ASSETS.joinpath("docs.html").read_bytes(),
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": _POLICY},
    )


async def asset(request: web.Request) -> web.Response:
    name = request.match_info["file"]
    if name not in _FILES:
        raise NotFound(f"There is nothing at {request.path}; the page has {', '.join(_FILES)}")
    place, kind = _FILES[name]
    response = web.Response(
        body=_ASSETS.joinpath(place).read_bytes(),
        content_type=kind,
        charset="utf-8",
        headers={"Cache-Control": "public, max-age=3600"},
    )
    response.enable_compression()
    return response
