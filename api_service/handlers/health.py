"""Is the process alive, and can it do its work."""

from aiohttp import web

from api_service.handlers.answers import json_response
from api_service.keys import READINESS


async def livez(_: web.Request) -> web.Response:
    return json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Redis away is only `degraded`: submits are kept, and the workers find them by themselves.

    So are submits without a worker.
    """
    ready = await request.app[READINESS].check()
    status = {
        "status": "ok" if ready.redis else "degraded",
        "postgres": "ok",
        "redis": "ok" if ready.redis else "away",
    }
    return json_response(status | {"workers": {"live": ready.live, "able": ready.able}})
