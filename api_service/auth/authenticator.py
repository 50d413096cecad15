"""Which tenant an API key belongs to, and whether the gateway needs keys at all."""

import hmac
import time
from collections.abc import Callable

from pydantic import SecretStr

from api_service.auth.credentials import digest
from shared.db.api_keys import ApiKeyStore
from shared.errors import Unauthorized

DEFAULT_TENANT = "default"
CACHE_SECONDS = 30.0
"""How long an answer of the database is used: a revoked key may work so long."""


class Authenticator:
    """Knows the one key of the settings and the keys of the database.

    With *demand*, for a gateway that other machines can reach, a request without a key is refused even while
    there is no key.
    """

    def __init__(
        self,
        store: ApiKeyStore,
        configured: SecretStr | None,
        *,
        demand: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._clock = store, clock
        self._configured = None if configured is None else digest(configured.get_secret_value())
        self._demand = demand or configured is not None
        self._open_until = 0.0
        self._known: dict[bytes, tuple[str, float]] = {}
        """Digest -> (tenant, until when). Only keys that exist, so that guesses take no memory."""

    async def needs_key(self) -> bool:
        if not self._demand and self._clock() >= self._open_until:
            self._demand = await self._store.any()
            self._open_until = self._clock() + CACHE_SECONDS
        return self._demand

    async def tenant(self, key: str) -> str:
        """The tenant of a key; raises Unauthorized."""
        sha256 = digest(key)
        if self._configured is not None and hmac.compare_digest(sha256, self._configured):
            return DEFAULT_TENANT
        tenant, until = self._known.get(sha256, ("", 0.0))
        if self._clock() < until:
            return tenant
        found = await self._store.use(sha256)
        if found is None:
            self._known.pop(sha256, None)
            raise Unauthorized("No such API key, or it was revoked")
        self._known[sha256] = found, self._clock() + CACHE_SECONDS
        return found
