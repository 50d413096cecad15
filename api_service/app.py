"""The composition root: which pool, stores and services the handlers get, and in which order they open and close."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog
from aiohttp import web

from api_service.bodies import STALLED_SECONDS
from api_service.keys import ACCESS, JOBS, READINESS, RECEIPTS, RESULTS, SETTINGS, UPLOADS
from api_service.middleware import authorize, explain, identify, put_headers
from api_service.routes import ROUTES
from api_service.services.access import Access
from api_service.services.checking import SpecChecker
from api_service.services.jobs import JobService
from api_service.services.readiness import Nudger, Readiness
from api_service.services.receipts import ReceiptService
from api_service.services.results import ResultService
from api_service.services.turns import Turns
from api_service.services.uploads import UploadService
from api_service.wire.credentials import is_loopback
from shared.core.timings import Timings
from shared.db.api_keys import ApiKeyStore
from shared.db.jobs import JobStore
from shared.db.pool import connect
from shared.db.receipts import ReceiptStore
from shared.db.rows import FETCH_SECONDS, RowStore
from shared.db.uploads import UploadStore
from shared.db.versions import VersionStore
from shared.doorbell import Doorbell, redis_pool
from shared.errors import StorageUnavailable, TooManyExports
from shared.loops import Service, end, forever
from shared.settings import Settings
from shared.storage.uploads import UploadFiles

END_SECONDS = 5.0
ANSWER_SECONDS = 4.0
"""How long a request waits for Postgres before it is told to try again."""
ANSWERS, ANSWERS_A_TENANT, TURN_SECONDS = 8, 6, 3.0
"""How many pages of rows are made and sent at once, how many of them for one tenant, and how long the next one waits for its turn; so many exports beside them."""
NO_TURN = TooManyExports(
    "So many answers of this kind are being read that there is no room for another; try again"
)
log = structlog.get_logger()


def build_app(settings: Settings) -> web.Application:
    app = web.Application(middlewares=[identify, explain, authorize])
    app[SETTINGS] = settings
    app.add_routes(ROUTES)
    app.on_response_prepare.append(put_headers)
    app.cleanup_ctx.append(_services)
    app.on_shutdown.append(_answer_the_waiting)
    return app


async def _services(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    async with contextlib.AsyncExitStack() as closing:
        pool = connect(settings.database_url, name="gristmill-gateway", seconds=ANSWER_SECONDS)
        idle = timedelta(seconds=2 * STALLED_SECONDS)
        fetch = {"statement_timeout": f"{FETCH_SECONDS:.0f}s"}
        streams = connect(
            settings.database_url,
            name="gristmill-streams",
            size=ANSWERS,
            idle_in_transaction=idle,
            settings=fetch,
        )
        health = connect(settings.database_url, name="gristmill-health", size=1, seconds=ANSWER_SECONDS)
        doorbell = Doorbell(redis_pool(settings.redis_url))
        checker = SpecChecker(settings)
        for close in (checker.close, doorbell.close, health.close, streams.close, pool.close):
            closing.push_async_callback(close)
        nudger, files = Nudger(doorbell), UploadFiles(settings.storage)
        readiness = Readiness(health, doorbell, Timings().scaled(settings.time_scale).lease)
        jobs, versions, uploads = JobStore(pool), VersionStore(pool), UploadStore(pool)
        app[ACCESS] = Access(ApiKeyStore(pool), settings.api_key, demand=not is_loopback(settings.host))
        app[READINESS] = readiness
        app[UPLOADS] = UploadService(uploads, files)
        app[JOBS] = JobService(jobs, versions, uploads, checker, nudger.nudge)
        pages, exports = (
            Turns(ANSWERS, ANSWERS_A_TENANT, patience=TURN_SECONDS, refusal=NO_TURN) for _ in range(2)
        )
        app[RESULTS] = ResultService(jobs, versions, RowStore(pool, streams), pages=pages, exports=exports)
        app[RECEIPTS] = ReceiptService(ReceiptStore(pool))
        loops = (forever(Service("nudger", nudger.run)), forever(Service("lookout", app[JOBS].lookout.run)))
        for work in (_tidy(files), readiness.announce(), *loops):
            closing.push_async_callback(_ended, asyncio.create_task(work))
        yield


async def _ended(task: "asyncio.Task[None]") -> None:
    if await end([task], END_SECONDS):
        log.error("gateway.stuck", task=task.get_name())


async def _tidy(files: UploadFiles) -> None:
    try:
        await asyncio.to_thread(files.remove_abandoned)
    except StorageUnavailable as error:
        log.warning("uploads.untidy", detail=error.detail)


async def _answer_the_waiting(app: web.Application) -> None:
    app[JOBS].lookout.stop()
