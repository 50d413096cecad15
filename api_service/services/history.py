"""The history of a job."""

from shared.core.history import Entry
from shared.db.history import HistoryStore
from shared.errors import NotFound


class HistoryService:
    def __init__(self, history: HistoryStore) -> None:
        self._history = history

    async def page(self, tenant: str, job_id: str, *, after: int, limit: int) -> tuple[list[Entry], bool]:
        """Entries after the number *after*, oldest first; the flag says whether others follow.

        Raises NotFound.
        """
        found = await self._history.page(tenant, job_id, after=after, limit=limit)
        if found is None:
            raise NotFound(f"There is no job {job_id}")
        return found
