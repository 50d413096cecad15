"""Forgets what nobody is promised any more (shared.core.retention says how long that is).

Runs in every worker; none leads.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from shared.core.retention import Retention
from shared.db.pruning import BATCH, PruneStore
from shared.fault_points import reached
from shared.storage.uploads import UploadFiles
from worker_service.context import Context

LOOK_SECONDS = 3600.0
"""Between two looks at the whole upload folder, which may be large and far away."""


class Pruner:
    def __init__(self, ctx: Context, retention: Retention | None = None) -> None:
        self._keep = retention or Retention()
        self._store = PruneStore(ctx.pool)
        self._files = UploadFiles(ctx.settings.storage)
        self._look_at = 0.0

    async def run_once(self) -> None:
        keep, store = self._keep, self._store
        await _repeated(lambda: store.partials(keep.partials))
        reached("prune.between")
        await store.versions(keep.superseded, keep.unnamed)
        await _repeated(lambda: store.jobs(keep.jobs))
        await _repeated(self._uploads)
        await store.workers(keep.workers)
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            await self._strays()

    async def _uploads(self) -> int:
        """The row first: a file without a row is found again, a row without a file would fail a job."""
        gone = await self._store.uploads(self._keep.uploads, self._keep.partials)
        for tenant, upload_id in gone:
            await self._files.delete(tenant, upload_id)
        return len(gone)

    async def _strays(self) -> None:
        await asyncio.to_thread(self._files.remove_abandoned)
        found = await asyncio.to_thread(self._files.older_than, self._keep.strays)
        strays = await self._store.strays([upload_id for _, upload_id in found]) if found else set()
        for tenant, upload_id in found:
            if upload_id in strays:
                await self._files.delete(tenant, upload_id)


async def _repeated(step: Callable[[], Awaitable[int]]) -> None:
    """Until a batch is not full."""
    while await step() == BATCH:
        continue
