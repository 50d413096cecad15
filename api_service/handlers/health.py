"""Health checks: whether the process is alive, and whether it can do its work."""

from aiohttp import web

from api_service.app_keys import READINESS
from api_service.handlers.bodies import json_response


async def livez(_: web.Request) -> web.Response:
    return json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Without Redis the gateway is only `degraded`: the workers find its jobs in Postgres."""
    ready = await request.app[READINESS].check()
    status = {
        "status": "ok" if ready.redis else "degraded",
        "postgres": "ok",
        "redis": "ok" if ready.redis else "away",
    }
    return json_response(status | {"workers": {"live": ready.live, "able": ready.able}})
