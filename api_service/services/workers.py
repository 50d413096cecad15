"""Workers: a list of them with the units that they hold, and the request to drain one."""

from datetime import timedelta

import structlog

from shared.core.workers import Worker
from shared.db.workers import WorkerStore
from shared.errors import InvalidState, NotFound
from shared.settings import Settings, differing

log = structlog.get_logger()


class WorkerService:
    """A worker that was silent for *lease* is gone: its units go to others."""

    def __init__(self, workers: WorkerStore, lease: timedelta, settings: Settings) -> None:
        self._workers, self._lease, self._settings = workers, lease, settings
        self._compared: set[str] = set()

    async def compare(self) -> None:
        """Log each new live worker that differs from this gateway in a setting by which both must agree."""
        workers = await self._workers.live(self._lease)
        for worker in workers:
            names = differing(self._settings, worker.settings)
            if names and worker.id not in self._compared:
                log.warning("settings.differ", worker=worker.id, host=worker.host, settings=names)
        self._compared = {worker.id for worker in workers}

    async def page(self, after: str | None, limit: int) -> tuple[list[Worker], bool]:
        """By id; the flag says whether others follow."""
        return await self._workers.page(self._lease, after=after, limit=limit)

    async def drain(self, worker_id: str) -> Worker:
        """Ask a worker to drain, as SIGTERM does. Raises NotFound, and InvalidState for one that is gone."""
        await self._workers.ask_to_drain(worker_id, self._lease)
        for worker in (await self._workers.page(self._lease, worker=worker_id))[0]:
            if worker.gone:
                seconds = worker.silent.total_seconds()
                raise InvalidState(
                    f"Worker {worker_id} on {worker.host} was last seen {seconds:.0f} s ago and is gone; "
                    "its units go to other workers by themselves"
                )
            return worker
        raise NotFound(f"There is no worker {worker_id}; it may have ended")
