"""Whether the gateway can do its work: Postgres there and migrated; Redis is only a doorbell."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from api_service.services.watching import Remembered
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
    """Whether Redis is there too; how many workers live, and how many of them can take work."""

    redis: bool
    live: int
    able: int


class Readiness:
    def __init__(self, pool: Pool, doorbell: Doorbell, lease: timedelta) -> None:
        """*lease*: a worker that was not seen within this time is dead."""
        self._pool = pool
        self._workers = WorkerStore(pool)
        self._doorbell = doorbell
        self._asked = Remembered[Ready](seconds=0)
        self._lease = lease

    async def check(self) -> Ready:
        """Raises DatabaseUnavailable or NotMigrated. Those who ask at once share one answer."""
        return await self._asked.get(("", ""), self._check)

    async def _check(self) -> Ready:
        if not await at_head(self._pool):
            raise NotMigrated(
                "The database's schema is not the one that this version needs; run `python -m api_service migrate`"
            )
        live, able = await self._workers.able(self._lease)
        asked = asyncio.create_task(self._doorbell.connected())
        answered, _ = await asyncio.wait(
            {asked}, timeout=_REDIS_SECONDS
        )  # asyncio.timeout would rely on redis-py to be cancelled
        asked.cancel()
        return Ready(redis=bool(answered) and asked.result(), live=live, able=able)

    async def announce(self) -> None:
        """Log what the gateway waits for, each time it changes, until it is ready."""
        said = ""
        while True:
            try:
                await self.check()
            except TransientError as error:
                if error.code != said:
                    log.warning("gateway.waiting", code=error.code, detail=error.detail)
                said = error.code
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                log.info("gateway.ready")
                return


class Nudger:
    """Rings the doorbell beside the requests: a frozen Redis delays nobody, and many submits share one ring."""

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
