"""The pruner: deletes data that no user is promised any more (shared.core.retention has the periods)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shared.core.retention import Retention
from shared.db.pruning import BATCH, PruneStore
from shared.fault_points import reached
from shared.loops import Report
from shared.storage.uploads import UploadFiles

LOOK_SECONDS = 3600.0
"""Between two looks at the whole upload folder, which may be large and far away."""


@dataclass(frozen=True, slots=True)
class Pruned(Report):
    """How much was deleted; `partials` counts jobs, `files` those of no upload."""

    partials: int = 0
    jobs: int = 0
    plans: int = 0
    uploads: int = 0
    unfinished_uploads: int = 0
    keys: int = 0
    files: int = 0


class Pruner:
    def __init__(self, store: PruneStore, files: UploadFiles, keep: Retention | None = None) -> None:
        self._store, self._files, self._keep = store, files, keep or Retention()
        self._look_at = 0.0

    async def run_once(self) -> Pruned:
        keep, store = self._keep, self._store
        partials = await _repeated(lambda: store.partials(keep.partials))
        reached("prune.between")
        await store.versions(keep.superseded, keep.unnamed)
        jobs = await _repeated(lambda: store.jobs(keep.jobs))
        plans = await _repeated(lambda: store.plans(keep.plans))
        uploads = await _repeated(
            lambda: self._delete_files(store.uploads(keep.uploads, keep.partials)),
        )
        unfinished = await _repeated(lambda: self._delete_files(store.unfinished_uploads()))
        keys = await _repeated(lambda: store.keys(keep.keys))
        await store.workers(keep.workers)
        await store.days()
        files = 0
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            files = await self._unknown_files()
        return Pruned(
            partials=partials,
            jobs=jobs,
            plans=plans,
            uploads=uploads,
            unfinished_uploads=unfinished,
            keys=keys,
            files=files,
        )

    async def _delete_files(self, deleted: Awaitable[list[tuple[str, str]]]) -> int:
        """The row first: a file without a row is found again, a row without a file would fail a job."""
        gone = await deleted
        for tenant, upload_id in gone:
            await self._files.delete(tenant, upload_id)
        return len(gone)

    async def _unknown_files(self) -> int:
        """Files that the database does not know: their uploads died between file and row."""
        await asyncio.to_thread(self._files.remove_abandoned)
        old = await asyncio.to_thread(self._files.older_than, self._keep.unknown_files)
        unknown = await self._store.strays([upload_id for _, upload_id in old]) if old else set()
        for tenant, upload_id in old:
            if upload_id in unknown:
                await self._files.delete(tenant, upload_id)
        return len(unknown)


async def _repeated(step: Callable[[], Awaitable[int]]) -> int:
    """Repeat a step until its batch is not full. Returns the sum of the batches."""
    total = 0
    while True:
        count = await step()
        total += count
        if count < BATCH:
            return total
