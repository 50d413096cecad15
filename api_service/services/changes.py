"""Changing jobs that were submitted."""

from collections.abc import Callable, Set

from shared.db.changes import ChangeStore
from shared.errors import NotFound
from shared.spec.changes import Changes


class ChangeService:
    """*forget* is told of each job that was changed."""

    def __init__(self, changes: ChangeStore, forget: Callable[[str, str], None]) -> None:
        self._changes = changes
        self._forget = forget

    async def change(
        self, tenant: str, job_id: str, changes: Changes, revisions: Set[int] | None, actor: str
    ) -> None:
        """Raises NotFound, and the errors of ChangeStore.change."""
        try:
            changed = await self._changes.change(tenant, job_id, changes, revisions, actor)
        finally:
            self._forget(tenant, job_id)
        if not changed:
            raise NotFound(f"There is no job {job_id}")
