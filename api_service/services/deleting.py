"""Deleting jobs and results, and the versions that a result has."""

from collections.abc import Callable

from shared.core.entities import Version
from shared.db.deleting import DeleteStore
from shared.db.versions import VersionStore
from shared.errors import NotFound


class DeletingService:
    """*forget* is told of each job that is gone, or whose rows are."""

    def __init__(
        self, store: DeleteStore, versions: VersionStore, forget: Callable[[str, str], None]
    ) -> None:
        self._store = store
        self._versions = versions
        self._forget = forget

    async def job(self, tenant: str, job_id: str) -> None:
        """Raises NotFound, InvalidState while the job is not done, InUse and ResultLocked."""
        if not await self._store.job(tenant, job_id):
            raise NotFound(f"There is no job {job_id}")
        self._forget(tenant, job_id)

    async def result(self, tenant: str, name: str) -> None:
        """Raises NotFound, InUse and ResultLocked."""
        gone = await self._store.result(tenant, name)
        self._forget_rows(tenant, gone, f"There is no result {name}")

    async def version(self, tenant: str, name: str, version: int) -> None:
        """Raises NotFound, InUse and ResultLocked."""
        gone = await self._store.version(tenant, name, version)
        self._forget_rows(tenant, gone, f"Result {name} has no version {version}")

    def _forget_rows(self, tenant: str, job_ids: list[str], without: str) -> None:
        """Raises NotFound, with the message *without*, if no job has lost its rows."""
        if not job_ids:
            raise NotFound(without)
        for job_id in job_ids:
            self._forget(tenant, job_id)

    async def versions(
        self, tenant: str, name: str, *, after: int | None, limit: int
    ) -> tuple[list[Version], bool]:
        """The versions of a result, newest first; the flag says whether others follow. Raises NotFound."""
        found = await self._versions.of_name(tenant, name, after=after, limit=limit)
        if not found[0] and after is None:
            raise NotFound(f"There is no result {name}")
        return found
