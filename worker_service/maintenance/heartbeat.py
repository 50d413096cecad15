"""The heartbeat: this worker lives. Its answer says which units are still wanted, and which make room."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from shared.core.fairness import preempted
from shared.core.timings import Timings
from shared.db.pool import Pool
from shared.db.units import UnitStore
from shared.db.workers import WorkerStore
from shared.errors import DatabaseUnavailable
from shared.loops import Report
from shared.spec.version import STATE_VERSION
from worker_service.maintenance.usage import Meter
from worker_service.slots import LeaseKey, Slots


@dataclass(frozen=True, slots=True)
class Beat(Report):
    """Units that were stopped; units that made room for another tenant; leases whose claim got no answer."""

    stopped: int = 0
    preempted: int = 0
    unheard: int = 0


class Heartbeat:
    def __init__(
        self,
        worker: str,
        workers: WorkerStore,
        units: UnitStore,
        pool: Pool,
        slots: Slots,
        timings: Timings,
        *,
        drain: Callable[[], None] = lambda: None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """*workers* has a connection of its own, so that no heartbeat waits behind the work.

        *pool* is the one of the work, which *units* uses too. *drain* is called when the worker is asked to
        drain, perhaps at several heartbeats. *settings* are those that the worker tells the others.
        """
        self._worker, self._workers, self._units = worker, workers, units
        self._pool, self._slots, self._timings = pool, slots, timings
        self._drain, self._meter, self._settings = drain, Meter(), settings

    async def run_once(self) -> Beat:
        before = self._slots.leases
        held = await self._beat(able=self._slots.able)
        stopped = self._slots.stop_unwanted(before, {lease for lease, wanted in held.items() if wanted})
        made_room = await self._make_room() if before else 0
        unheard = self._slots.unheard(before, set(held))
        await self._give_back(unheard)
        return Beat(stopped=stopped, preempted=made_room, unheard=len(unheard))

    async def leave(self) -> None:
        """Sign off, after the drain.

        Units that still count as ours go back first, uncharged: a claim or a giving back may have been cut
        off. A commit that was cut off holds its unit until Postgres ends its transaction, after a lease's
        time. A worker that left before would be taken for dead.
        """
        async with _within(self._timings.lease + self._timings.heartbeat):
            held = await self._beat(able=0)
            while held:
                with suppress(DatabaseUnavailable):  # another transaction holds its job's row
                    await self._give_back(set(held))
                if held := await self._beat(able=0):
                    await asyncio.sleep(self._timings.poll_idle.total_seconds())
            await self._workers.leave(self._worker)

    async def _beat(self, *, able: int) -> dict[LeaseKey, bool]:
        async with self._answering():
            heard = await self._workers.beat(
                self._worker,
                host=socket.gethostname(),
                pid=os.getpid(),
                version=version("gristmill"),
                slots=self._slots.count,
                able=able,
                draining=self._slots.draining,
                state_version=STATE_VERSION,
                usage=self._meter.read(),
                settings=self._settings,
            )
        if heard.drain:
            self._drain()
        return heard.held

    async def _make_room(self) -> int:
        """Preempt the own leases among those that make room.

        All workers come to the same conclusion about the leases of all, so none has to tell another.
        """
        timings = self._timings
        async with self._answering():
            leases, waiting, free = await self._workers.rivals(
                lease=timings.lease, state_version=STATE_VERSION, waited=timings.heartbeat
            )
        chosen = preempted(leases, waiting=waiting, free=free, protected=timings.protected)
        own = [(lease.unit, lease.attempt) for lease in chosen if lease.worker == self._worker]
        return self._slots.preempt(own)

    async def _give_back(self, leases: set[LeaseKey]) -> None:
        """Over the connections of the work, one of which may be dead: the next heartbeat must not wait."""
        async with _within(self._timings.heartbeat):
            for unit, attempt in leases:
                await self._units.give_back_stray(unit, attempt, self._worker)

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """Abort the pool if a heartbeat waits for a lease's time: then nothing else is answered either."""
        try:
            async with asyncio.timeout(self._timings.lease.total_seconds()):
                yield
        except TimeoutError as error:
            self._pool.abort()
            raise DatabaseUnavailable("Postgres does not answer the heartbeat") from error


@asynccontextmanager
async def _within(limit: timedelta) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except TimeoutError as error:
        raise DatabaseUnavailable(f"Postgres did not take the leases back within {limit}") from error
