"""Health checks: whether the process is alive, and whether it can do its work."""

from aiohttp import web

from api_service.app_keys import READINESS
from api_service.handlers.bodies import json_response
from api_service.wire.health import LifeDocument, ReadinessDocument, WorkerCounts


async def livez(_: web.Request) -> web.Response:
    return json_response(LifeDocument())


async def readyz(request: web.Request) -> web.Response:
    ready = await request.app[READINESS].check()
    return json_response(
        ReadinessDocument(
            status="ok" if ready.redis else "degraded",
            redis="ok" if ready.redis else "away",
            workers=WorkerCounts(live=ready.live, able=ready.able),
        )
    )
