"""Whether the gateway can do its work: it needs a migrated Postgres; Redis is only a doorbell."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from api_service.services.cache import TtlCache
from shared.db.head import at_head
from shared.db.pool import Pool
from shared.db.workers import WorkerStore
from shared.doorbell import Doorbell
from shared.errors import NotMigrated, TransientError

_REDIS_SECONDS = 1.0
_RETRY_SECONDS = 1.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Whether Redis answers; how many workers are alive, and how many of them can take work."""

    redis: bool
    live: int
    able: int


class Readiness:
    def __init__(self, pool: Pool, doorbell: Doorbell, lease: timedelta) -> None:
        """A worker that was not seen within *lease* counts as dead."""
        self._pool = pool
        self._workers = WorkerStore(pool)
        self._doorbell = doorbell
        self._answers = TtlCache[Ready](seconds=0)
        self._lease = lease

    async def check(self) -> Ready:
        """Raises DatabaseUnavailable or NotMigrated. Concurrent calls share one answer."""
        return await self._answers.get(("", ""), self._check)

    async def _check(self) -> Ready:
        if not await at_head(self._pool):
            raise NotMigrated(
                "The database's schema is not the one that this version needs; run `gristmill server migrate`"
            )
        live, able = await self._workers.able(self._lease)
        return Ready(redis=await answers(self._doorbell), live=live, able=able)

    async def announce(self) -> None:
        """Log the reason why the gateway is not ready, each time it changes, until it is ready."""
        logged = ""
        while True:
            try:
                await self.check()
            except TransientError as error:
                if error.code != logged:
                    log.warning("gateway.waiting", code=error.code, error=error.detail)
                logged = error.code
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                log.info("gateway.ready")
                return


async def answers(doorbell: Doorbell) -> bool:
    """Whether Redis answers soon."""
    connected = asyncio.create_task(doorbell.connected())
    # Not asyncio.timeout, which would wait until redis-py heeds its cancellation.
    answered, _ = await asyncio.wait({connected}, timeout=_REDIS_SECONDS)
    connected.cancel()
    return bool(answered) and connected.result()


class Nudger:
    """Nudges the workers in the background: a frozen Redis delays no answer; many submits share a nudge."""

    def __init__(self, doorbell: Doorbell) -> None:
        self._doorbell = doorbell
        self._wanted = asyncio.Event()

    def nudge(self) -> None:
        self._wanted.set()

    async def run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._doorbell.request_dispatch()
