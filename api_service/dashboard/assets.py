"""The files that pages load: scripts and styles, each with the digest of its bytes in its URL."""

import hashlib
from functools import cache
from importlib.resources import files

from aiohttp import web

from shared.errors import NotFound

_FOLDER = files("api_service") / "assets"
_SCRIPT, _STYLE = "text/javascript", "text/css"
ASSETS = {
    "dashboard.css": ("dashboard/dashboard.css", _STYLE),
    "dashboard.js": ("dashboard/dashboard.js", _SCRIPT),
    "new.js": ("dashboard/new.js", _SCRIPT),
    "upload.js": ("dashboard/upload.js", _SCRIPT),
    "refresh.js": ("dashboard/refresh.js", _SCRIPT),
    "overview.js": ("dashboard/overview.js", _SCRIPT),
    "htmx.js": ("htmx/htmx.min.js", _SCRIPT),
    "sse.js": ("htmx/hx-sse.min.js", _SCRIPT),
    "lines.js": ("dashboard/lines.js", _SCRIPT),
    "uplot.js": ("uplot/uPlot.iife.min.js", _SCRIPT),
    "uplot.css": ("uplot/uPlot.min.css", _STYLE),
    "icon.svg": ("dashboard/icon.svg", "image/svg+xml"),
}
"""Name in the URL -> (file, media type)."""
_FOR_LONG = "public, max-age=31536000, immutable"
"""Only for the file that the URL means: a gateway of another version may answer."""


@cache
def _bytes(name: str) -> bytes:
    return _FOLDER.joinpath(ASSETS[name][0]).read_bytes()


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(_bytes(name)).hexdigest()[:12]


def asset_path(name: str) -> str:
    """The path of a file; it changes with the file, so browsers may keep it for long."""
    return f"/assets/{name}?v={_digest(name)}"


async def read(request: web.Request) -> web.Response:
    name = request.match_info["file"]
    if name not in ASSETS:
        raise NotFound(f"There is nothing at {request.path}; the files are {', '.join(ASSETS)}")
    response = web.Response(
        body=_bytes(name),
        content_type=ASSETS[name][1],
        charset="utf-8",
        headers={"Cache-Control": _FOR_LONG if request.query.get("v") == _digest(name) else "no-cache"},
    )
    response.enable_compression()
    return response
