"""Reads receipts. The transaction that publishes a job writes them (`publishing`)."""

from shared.core.entities import Document
from shared.db.pool import Pool
from shared.db.statements import RECEIPTS


class ReceiptStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def get(self, tenant: str, job_id: str) -> tuple[str, Document | None] | None:
        """The job's state and its receipt; None when there is no such job."""
        async with self._pool.connection() as connection:
            row = await RECEIPTS.get.fetchrow(connection, tenant=tenant, job_id=job_id)
        return (row["state"], row["receipt"]) if row else None
