"""Whose key a request has, and whether the gateway needs keys at all."""

import hmac
import time
from collections.abc import Callable

from pydantic import SecretStr

from api_service.auth.credentials import digest
from api_service.auth.rights import Caller
from shared.db.api_keys import ApiKeyStore
from shared.errors import Unauthorized

DEFAULT_TENANT = "default"
OWNER = Caller(tenant=DEFAULT_TENANT, scopes=frozenset({"admin"}))
"""The caller of GRISTMILL_API_KEY, and every caller while the gateway needs no key."""
CACHE_SECONDS = 20.0
"""How long an answer of the database is used: a key that another gateway has revoked may work so long."""
MAX_KNOWN = 10_000


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
        self._known: dict[bytes, tuple[Caller, float]] = {}
        """Digest -> (caller, until when). Only keys that exist, so that guesses take no memory."""
        self._forgotten = 0

    async def needs_key(self) -> bool:
        if not self._demand and self._clock() >= self._open_until:
            self._demand = await self._store.any()
            self._open_until = self._clock() + CACHE_SECONDS
        return self._demand

    async def caller(self, key: str) -> Caller:
        """The caller with this key; raises Unauthorized."""
        return await self.caller_of(digest(key))

    async def caller_of(self, sha256: bytes) -> Caller:
        """The caller with the key of this digest; raises Unauthorized.

        A key that ends by itself ends on time: its answer is not used longer than the key lasts.
        """
        if self._configured is not None and hmac.compare_digest(sha256, self._configured):
            return OWNER
        known = self._known.get(sha256)
        if known is not None and self._clock() < known[1]:
            return known[0]
        self._known.pop(sha256, None)
        asked_at, forgotten = self._clock(), self._forgotten
        found = await self._store.use(sha256)
        if found is None:
            raise Unauthorized("No such API key, or it was revoked or has expired")
        row, left = found
        caller = Caller.of(row)
        if forgotten != self._forgotten:
            return caller  # a key was revoked since the question: perhaps this one
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        seconds = CACHE_SECONDS if left is None else min(left.total_seconds(), CACHE_SECONDS)
        self._known[sha256] = caller, asked_at + seconds
        return caller

    def forget(self, key_id: str) -> None:
        """Ask the database anew about a key that was revoked, and about those that it made."""
        self._forgotten += 1
        self._known = {
            sha256: (caller, until)
            for sha256, (caller, until) in self._known.items()
            if key_id not in caller.line
        }

    def close(self) -> None:
        """Need a key from now on: the first one was made."""
        self._demand = True
