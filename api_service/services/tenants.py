"""The limits of a tenant, and its use of them."""

from dataclasses import asdict
from typing import NamedTuple

from shared.db.limits import LimitStore


class LimitAndUse(NamedTuple):
    """None is no limit; a use of None is not counted over time."""

    limit: int | None
    used: int | None


class TenantService:
    def __init__(self, limits: LimitStore) -> None:
        self._limits = limits

    async def show(self, tenant: str) -> dict[str, LimitAndUse]:
        """By the names of `Limits`, in their order."""
        limits, used = asdict(await self._limits.get(tenant)), asdict(await self._limits.use(tenant))
        return {name: LimitAndUse(limit, used.get(name)) for name, limit in limits.items()}
