"""Receipts: what a succeeded job read, and where every row went."""

from typing import Any

from shared.db.receipts import ReceiptStore
from shared.errors import NoResult, NotFound, NotReady


class ReceiptService:
    def __init__(self, receipts: ReceiptStore) -> None:
        self._receipts = receipts

    async def get(self, tenant: str, job_id: str) -> dict[str, Any]:
        found = await self._receipts.get(tenant, job_id)
        if found is None:
            raise NotFound(f"There is no job {job_id}")
        state, receipt = found
        if receipt is not None:
            return receipt
        if state in {"failed", "cancelled"}:
            raise NoResult(
                f"Job {job_id} {'was ' if state == 'cancelled' else ''}{state}, so it has no receipt"
            )
        if state == "succeeded":
            raise NoResult(f"Job {job_id} was published by a version of Gristmill that wrote no receipts")
        raise NotReady(f"Job {job_id} is {state}; its receipt is written when it succeeds")
