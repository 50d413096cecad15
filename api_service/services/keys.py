"""API keys: making them within the rights of their maker, listing and revoking them."""

from collections.abc import Set as AbstractSet
from datetime import timedelta

from api_service.auth.authenticator import Authenticator
from api_service.auth.credentials import digest, new_key
from api_service.auth.rights import Caller, check_making, lifetime
from shared.core.entities import ApiKey
from shared.db.api_keys import ApiKeyStore
from shared.db.jobs import JobStore
from shared.errors import InvalidBody, InvalidState, NotFound


class KeyService:
    """A caller with `admin` sees the keys of its tenant, any other one those that it made itself."""

    def __init__(self, keys: ApiKeyStore, jobs: JobStore, authenticator: Authenticator) -> None:
        self._keys, self._jobs, self._authenticator = keys, jobs, authenticator

    async def make(
        self,
        maker: Caller,
        *,
        name: str,
        scopes: AbstractSet[str],
        expires: timedelta | None,
        job: str | None,
    ) -> tuple[ApiKey, str]:
        """A new key and its text, which nothing can show again.

        It ends with its maker at the latest. Raises Forbidden for more rights than the maker has, and
        InvalidBody for a job that does not exist.
        """
        check_making(maker, scopes)
        if job is not None and scopes == {"upload"}:
            raise InvalidBody(
                "A key of one job reads that job, which needs the scope read", pointer="#/scopes"
            )
        lasts = lifetime(maker, expires)
        first = not await self._authenticator.needs_key()
        if first and (scopes != {"admin"} or lasts is not None or job is not None):
            raise InvalidState(
                "The first key closes this gateway to requests without one, so it has the scope admin, no "
                "job and no end: make such a key first, or run `gristmill server keys add NAME`"
            )
        if job is not None and await self._jobs.get(maker.tenant, job) is None:
            raise InvalidBody(f"There is no job {job}", pointer="#/job")
        text = new_key()
        made = await self._keys.insert(
            maker.tenant,
            name,
            digest(text),
            scopes=scopes,
            job=job,
            parents=maker.line,
            lasts=lasts,
            latest=maker.expires_at,
        )
        self._authenticator.close()
        return made, text

    async def page(self, caller: Caller, *, after: str | None, limit: int) -> tuple[list[ApiKey], bool]:
        """Newest first; the flag says whether others follow."""
        return await self._keys.page(caller.tenant, _maker(caller), after=after, limit=limit)

    async def get(self, caller: Caller, key_id: str) -> ApiKey:
        key = await self._keys.get(caller.tenant, key_id, _maker(caller))
        if key is None:
            raise NotFound(f"There is no key {key_id}")
        return key

    async def revoke(self, caller: Caller, key_id: str) -> None:
        """End a key, and those that it made: here at once, at other gateways within CACHE_SECONDS."""
        key = await self.get(caller, key_id)
        await self._keys.revoke(key.id)
        self._authenticator.forget(key.id)


def _maker(caller: Caller) -> str | None:
    return None if caller.is_admin else caller.key_id
