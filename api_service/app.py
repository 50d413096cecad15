"""The composition root: the pools, stores and services that the handlers get, and the order of their ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.metadata import version

import structlog
from aiohttp import web

from api_service.app_keys import (
    AUDITED,
    AUTHENTICATOR,
    BULK,
    CHANGES,
    DELETING,
    HISTORY,
    JOB_PAGES,
    JOBS,
    KEYS,
    LINKS,
    OPENAPI,
    OPERATIONS,
    OVERVIEW,
    PAGE_HANDLERS,
    PLANS,
    QUARANTINE,
    RATES,
    READINESS,
    RESULTS,
    RESUMABLE_UPLOADS,
    SESSIONS,
    SETTINGS,
    SHARES,
    SPEC_CHECKER,
    TENANTS,
    UPLOADS,
    WORKERS,
)
from api_service.audit import actions
from api_service.auth.authenticator import Authenticator
from api_service.auth.credentials import is_loopback
from api_service.auth.middleware import admit
from api_service.auth.sessions import Sessions
from api_service.cors import put_cors_headers
from api_service.dashboard.pages import PAGES as PAGE_LIST
from api_service.dashboard.rendering import compile_templates
from api_service.handlers import tus
from api_service.handlers.bodies import STALLED_SECONDS
from api_service.middleware import answer_errors, logging_requests, put_headers
from api_service.openapi import Description
from api_service.routes import OPERATIONS as OPERATION_LIST
from api_service.routes import by_handler, routes
from api_service.services.bulk import BulkService
from api_service.services.changes import ChangeService
from api_service.services.deleting import DeletingService
from api_service.services.encoder import Encoder
from api_service.services.figures import ServiceFigures
from api_service.services.history import HistoryService
from api_service.services.job_pages import JobPages
from api_service.services.jobs import JobService
from api_service.services.keys import KeyService
from api_service.services.limiter import ConcurrencyLimiter
from api_service.services.overview import OverviewService
from api_service.services.plans import PlanService
from api_service.services.quarantine import QuarantineService
from api_service.services.rates import CACHE_SECONDS, Rates
from api_service.services.readiness import Nudger, Readiness
from api_service.services.results import ResultService
from api_service.services.resumable import ResumableUploads
from api_service.services.spec_check import SpecChecker
from api_service.services.tenants import TenantService
from api_service.services.uploads import UploadService
from api_service.services.workers import WorkerService
from api_service.shares import Shares
from api_service.wire.links import Links
from shared.core.connections import ANSWERS, HEALTH, STREAMS
from shared.core.limits import Limits
from shared.core.retention import Retention
from shared.core.timings import Timings
from shared.db.api_keys import ApiKeyStore
from shared.db.changes import ChangeStore
from shared.db.deleting import DeleteStore
from shared.db.figures import FigureStore
from shared.db.history import HistoryStore
from shared.db.jobs import JobStore
from shared.db.limits import LimitStore
from shared.db.overview import OverviewStore
from shared.db.plans import PlanStore
from shared.db.pool import connect
from shared.db.quarantine import QuarantineStore
from shared.db.receipts import ReceiptStore
from shared.db.rows import FETCH_SECONDS, RowStore
from shared.db.sessions import SessionStore
from shared.db.strips import StripStore
from shared.db.unfinished_uploads import UnfinishedUploadStore
from shared.db.uploads import UploadStore
from shared.db.versions import VersionStore
from shared.db.workers import WorkerStore
from shared.doorbell import Doorbell, redis_pool
from shared.errors import StorageUnavailable, TooManyExports
from shared.loops import Service, end, forever
from shared.metrics.exposition import exposed
from shared.settings import Settings
from shared.storage.uploads import UploadFiles

END_SECONDS = 5.0
ANSWER_SECONDS = 4.0
"""How long a request waits for Postgres before its client is told to try again."""
COMPARE_PERIOD = timedelta(minutes=1)
"""How soon a worker with other settings is noticed."""
PAGES, PAGES_PER_TENANT, PERMIT_SECONDS = STREAMS, 6, 3.0
"""Pages of rows that are made and sent at once, those of one tenant, and how long the next one waits.

As many exports are sent beside them.
"""
TOO_MANY = TooManyExports(
    "So many answers of this kind are being read that there is no room for another; try again"
)
log = structlog.get_logger()


def build_app(settings: Settings) -> web.Application:
    app = web.Application(middlewares=[logging_requests(settings), answer_errors, admit])
    app[SETTINGS] = settings
    app[SHARES] = Shares()
    app[OPERATIONS] = by_handler((*OPERATION_LIST, *PAGE_LIST))
    app[AUDITED] = actions((*OPERATION_LIST, *PAGE_LIST))
    app[PAGE_HANDLERS] = frozenset(operation.handler for operation in PAGE_LIST)
    app[OPENAPI] = Description(OPERATION_LIST, version("gristmill"), settings.public_url or "/")
    app[LINKS] = Links(settings.public_url or "")
    app.add_routes(routes((*OPERATION_LIST, *PAGE_LIST)))
    app.on_response_prepare.extend((put_headers, tus.put_headers))
    if settings.cors_origins:
        app.on_response_prepare.append(put_cors_headers)
    app.cleanup_ctx.append(_services)
    app.on_shutdown.append(_answer_waiting_requests)
    return app


async def _services(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    async with contextlib.AsyncExitStack() as closing:
        pool = connect(settings.database_url, name="gristmill-gateway", size=ANSWERS, seconds=ANSWER_SECONDS)
        streams = connect(
            settings.database_url,
            name="gristmill-streams",
            size=PAGES,
            idle_in_transaction=timedelta(seconds=2 * STALLED_SECONDS),
            settings={"statement_timeout": f"{FETCH_SECONDS:.0f}s"},
        )
        health = connect(
            settings.database_url,
            name="gristmill-health",
            size=HEALTH,
            seconds=ANSWER_SECONDS,
            settings={"enable_seqscan": "off"},  # the figures go through indexes, whatever the statistics
        )
        doorbell = Doorbell(redis_pool(settings.redis_url))
        checker, encoder = SpecChecker(settings), Encoder()
        for close in (checker.close, encoder.close, doorbell.close, health.close, streams.close, pool.close):
            closing.push_async_callback(close)
        nudger, files = Nudger(doorbell), UploadFiles(settings.storage)
        lease = Timings().scaled(settings.time_scale).lease
        readiness = Readiness(health, doorbell, lease)
        defaults = Limits.of(settings)
        limits = LimitStore(pool, defaults)
        jobs, versions, uploads = JobStore(pool, defaults), VersionStore(pool), UploadStore(pool, defaults)
        pages, exports = (
            ConcurrencyLimiter(PAGES, PAGES_PER_TENANT, patience=PERMIT_SECONDS, refusal=TOO_MANY)
            for _ in range(2)
        )
        keys = ApiKeyStore(pool)
        app[AUTHENTICATOR] = Authenticator(keys, settings.api_key, demand=not is_loopback(settings.host))
        app[SESSIONS] = Sessions(SessionStore(pool), app[AUTHENTICATOR])
        app[KEYS] = KeyService(keys, jobs, app[AUTHENTICATOR])
        app[READINESS] = readiness
        app[SPEC_CHECKER] = checker
        app[RATES] = Rates(limits, defaults.requests_per_second)
        app[TENANTS] = TenantService(limits)
        app[UPLOADS] = UploadService(uploads, files, limits)
        app[RESUMABLE_UPLOADS] = ResumableUploads(
            UnfinishedUploadStore(pool, Retention().unfinished_uploads, defaults),
            uploads,
            files,
            settings.max_unfinished_uploads,
        )
        app[WORKERS] = WorkerService(WorkerStore(pool), lease, settings)
        app[JOBS] = JobService(jobs, versions, uploads, nudger.nudge)
        app[OVERVIEW] = OverviewService(OverviewStore(pool), app[JOBS], readiness, lease)
        app[BULK] = BulkService(app[JOBS], jobs)
        app[CHANGES] = ChangeService(ChangeStore(pool), app[JOBS].forget)
        app[DELETING] = DeletingService(DeleteStore(pool), versions, app[JOBS].forget)
        app[HISTORY] = HistoryService(HistoryStore(pool))
        app[PLANS] = PlanService(app[JOBS], jobs, PlanStore(pool))
        app[RESULTS] = ResultService(
            jobs,
            versions,
            RowStore(pool, streams),
            ReceiptStore(pool),
            encoder,
            pages=pages,
            exports=exports,
        )
        app[QUARANTINE] = QuarantineService(QuarantineStore(pool, streams), pages=pages, exports=exports)
        app[JOB_PAGES] = JobPages(StripStore(pool), app[HISTORY], app[RESULTS], app[QUARANTINE], app[UPLOADS])
        loops = (
            forever(Service("nudger", nudger.run)),
            forever(Service("job_watcher", app[JOBS].watcher.run)),
            forever(Service("settings", app[WORKERS].compare, COMPARE_PERIOD)),
            forever(Service("rates", app[RATES].run_once, timedelta(seconds=CACHE_SECONDS))),
        )
        for work in (_remove_abandoned(files), _announce(readiness), *loops):
            closing.push_async_callback(_ended, asyncio.create_task(work))
        figures = ServiceFigures(FigureStore(health), doorbell, settings.storage, lease)
        await closing.enter_async_context(exposed(settings, "gateway", figures, refresh=figures.refresh))
        yield


async def _ended(task: "asyncio.Task[None]") -> None:
    if await end([task], END_SECONDS):
        log.error("gateway.stuck", loop=task.get_name())


async def _announce(readiness: Readiness) -> None:
    """Log that the gateway is ready, and compile its pages after that: its start waits for none of them."""
    await readiness.announce()
    await asyncio.to_thread(compile_templates)


async def _remove_abandoned(files: UploadFiles) -> None:
    try:
        await asyncio.to_thread(files.remove_abandoned)
    except StorageUnavailable as error:
        log.warning("uploads.untidy", error=error.detail)


async def _answer_waiting_requests(app: web.Application) -> None:
    app[JOBS].watcher.stop()
