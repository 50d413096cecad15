"""The figures of the whole service for /metrics: Postgres, Redis, the queue, the workers and the disk.

However often it is scraped, Postgres answers one statement in some seconds.
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api_service.services.cache import TtlCache
from api_service.services.readiness import answers
from shared.core.figures import Figures
from shared.db.figures import FigureStore
from shared.doorbell import Doorbell
from shared.errors import TransientError

_SECONDS, _TIMES = 5.0, 20
"""At most a twentieth of the time one gateway has Postgres count."""
_DISK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """`figures` is None if Postgres did not answer; `disk`, the bytes free and all, if the folder did not."""

    figures: Figures | None
    redis: bool
    disk: tuple[int, int] | None


class ServiceFigures(Collector):
    """Shows the figures that `refresh` has read last."""

    def __init__(self, store: FigureStore, doorbell: Doorbell, storage: Path, lease: timedelta) -> None:
        """A worker that was silent for *lease* is gone."""
        self._store, self._doorbell, self._storage, self._lease = store, doorbell, storage, lease
        self._cache = TtlCache[Seen](_SECONDS, _TIMES)
        self._seen = Seen(figures=None, redis=False, disk=None)
        self._looking: asyncio.Future[tuple[int, int] | None] | None = None

    async def refresh(self) -> None:
        self._seen = await self._cache.get(("", ""), self._look)

    async def _look(self) -> Seen:
        figures, redis, disk = await asyncio.gather(self._figures(), answers(self._doorbell), self._disk())
        return Seen(figures=figures, redis=redis, disk=disk)

    async def _figures(self) -> Figures | None:
        try:
            return await self._store.read(self._lease)
        except TransientError:
            return None

    async def _disk(self) -> tuple[int, int] | None:
        """In a thread that is left behind if the file system hangs; no second one until it is done."""
        looking = self._looking
        if looking is None or looking.done():
            looking = asyncio.get_running_loop().run_in_executor(None, _space, self._storage)
            self._looking = looking
        await asyncio.wait({looking}, timeout=_DISK_SECONDS)
        return looking.result() if looking.done() else None

    def collect(self) -> Iterator[Metric]:
        return families(self._seen)


def _space(folder: Path) -> tuple[int, int] | None:
    """Bytes that the service may still write, and all, of the file system of *folder*.

    The first upload makes the folder; until then it is that of the folder above.
    """
    try:
        found = os.statvfs(next(each for each in (folder, *folder.absolute().parents) if each.exists()))
    except OSError:
        return None
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def families(seen: Seen) -> Iterator[Metric]:
    """A figure that is not known is left out."""
    found = seen.figures
    yield _gauge("gristmill_postgres_up", "Whether Postgres answered the gateway", float(found is not None))
    yield _gauge("gristmill_redis_up", "Whether Redis answered the gateway", float(seen.redis))
    if seen.disk is not None:
        free, size = seen.disk
        yield _gauge("gristmill_storage_free_bytes", "Bytes free in the folder for uploads", free)
        yield _gauge("gristmill_storage_size_bytes", "Bytes of the file system of that folder", size)
    if found is not None:
        yield from _of_postgres(found)


def _of_postgres(found: Figures) -> Iterator[Metric]:
    yield _gauge(
        "gristmill_open_jobs",
        "Jobs and dry runs that wait and that run, of all tenants",
        state={"queued": found.jobs_queued, "running": found.jobs_running},
    )
    yield _gauge(
        "gristmill_waiting_units", "Units that may be leased now, at most 100,000", found.units_waiting
    )
    yield _gauge(
        "gristmill_oldest_waiting_seconds",
        "Age of the oldest queued job and of the oldest waiting unit",
        of={"job": found.job_waits or 0.0, "unit": found.unit_waits or 0.0},
    )
    yield _gauge(
        "gristmill_backlog_seconds",
        "Waiting units x mean seconds of the newest 200 chunks / slots of live workers",
        found.backlog_seconds,
    )
    yield _gauge(
        "gristmill_workers",
        "Workers that were seen lately",
        state={"working": found.workers_working, "draining": found.workers_draining},
    )


def _gauge(name: str, text: str, value: float | None = None, **values: dict[str, float]) -> GaugeMetricFamily:
    """Of one value, or of *values* by the one label that names them."""
    if value is not None:
        return GaugeMetricFamily(name, text, value=value)
    [(label, by_value)] = values.items()
    family = GaugeMetricFamily(name, text, labels=[label])
    for each, amount in by_value.items():
        family.add_metric([each], amount)
    return family
