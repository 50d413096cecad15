"""Which web pages may use the gateway from a browser (CORS): those of GRISTMILL_CORS_ORIGINS.

aiohttp-cors is not used: it adds a route for `OPTIONS` to each path. So other paths would have errors without
headers, and a path could not answer `OPTIONS` itself.
"""

from aiohttp import web

from api_service.app_keys import AUTHENTICATOR, SETTINGS
from shared.errors import CrossSiteRequest

PREFLIGHT_SECONDS = 600
METHODS = {True: "GET, HEAD, POST, PATCH, DELETE", False: "GET, HEAD"}
"""By whether the gateway needs a key: a page that has one got it from its user."""
EXPOSED = (
    "Location, ETag, X-Request-Id, Retry-After, Preference-Applied, Idempotency-Replayed, WWW-Authenticate, "
    "RateLimit, RateLimit-Policy, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, "
    "Content-Digest, Content-Disposition, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires, "
    "Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm"
)
"""The headers of answers that a page may read, beside the few that every page may."""


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks if a page may send a request."""
    return (
        request.method == "OPTIONS"
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )


async def answer_preflight(request: web.Request) -> web.Response:
    """It needs no key; raises CrossSiteRequest for an origin that is not listed."""
    origin = request.headers["Origin"]
    if origin not in request.app[SETTINGS].cors_origins:
        raise CrossSiteRequest(
            f"GRISTMILL_CORS_ORIGINS does not list {origin[:200]!r}, so its pages may not use this gateway"
        )
    headers = {
        "Access-Control-Allow-Methods": METHODS[await request.app[AUTHENTICATOR].needs_key()],
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
        "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
    }
    return web.Response(status=204, headers=headers)


async def put_cors_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Let the page read the answer, be it a problem or a stream. No cookies: a key is sent as a header."""
    origins = request.app[SETTINGS].cors_origins
    response.headers.add("Vary", "Origin")
    if (origin := request.headers.get("Origin")) in origins:
        response.headers["Access-Control-Allow-Origin"] = str(origin)
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
