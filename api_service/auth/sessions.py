"""Sessions of the dashboard: a cookie with a random id stands for the API key that a person has typed.

The browser sends the cookie also with requests that a page of another site makes. So a change needs two
proofs more: the `Origin` of this gateway, and a token that only its own pages have.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from datetime import timedelta

from aiohttp import web

from api_service.auth.authenticator import CACHE_SECONDS, MAX_KNOWN, Authenticator
from api_service.auth.credentials import SAFE_METHODS, digest
from api_service.auth.rights import Caller
from shared.addresses import origin_of
from shared.db.sessions import SessionStore
from shared.errors import CrossSiteRequest, Unauthorized

COOKIE = "gristmill_session"
LASTS = timedelta(hours=12)
MOST_OF_KEY = 100
TOKEN_HEADER = "X-CSRF-Token"  # noqa: S105 - the name of a header
TOKEN_FIELD = "csrf"  # noqa: S105 - the name of a form's field
_ID = re.compile(r"[A-Za-z0-9_-]{43}")


class Sessions:
    def __init__(
        self,
        store: SessionStore,
        authenticator: Authenticator,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._authenticator, self._clock = store, authenticator, clock
        self._known: dict[bytes, tuple[bytes, float]] = {}
        """Digest of a session -> (digest of its key, until when that is not asked again)."""
        self._ended = 0

    async def begin(self, key: str) -> tuple[str, Caller]:
        """The id of a new session of the key, and its caller; raises Unauthorized for a wrong key."""
        caller = await self._authenticator.caller(key)
        session = secrets.token_urlsafe(32)
        await self._store.insert(digest(session), digest(key), lasts=LASTS, most=MOST_OF_KEY)
        return session, caller

    async def key(self, session: str) -> bytes:
        """The digest of the session's key; raises Unauthorized for a session that has ended."""
        if not is_id(session):
            raise _gone()
        sha256 = digest(session)
        known = self._known.get(sha256)
        if known is not None and self._clock() < known[1]:
            return known[0]
        self._known.pop(sha256, None)
        asked_at, ended = self._clock(), self._ended
        key = await self._store.key(sha256)
        if key is None:
            raise _gone()
        if ended != self._ended:
            return key  # a session has ended since the question: perhaps this one
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[sha256] = key, asked_at + CACHE_SECONDS
        return key

    async def end(self, session: str) -> None:
        """End a session: here at once, at other gateways within CACHE_SECONDS."""
        await self._store.delete(digest(session))
        self._ended += 1
        self._known.pop(digest(session), None)


def is_id(text: str) -> bool:
    """Whether it can be the id of a session: a cookie may hold anything."""
    return _ID.fullmatch(text) is not None


def _gone() -> Unauthorized:
    return Unauthorized("This session has ended; sign in again")


def token(session: str) -> str:
    """The token that the pages of a session send with each change."""
    return hashlib.sha256(f"csrf:{session}".encode()).hexdigest()


def check_token(session: str, sent: str | None) -> None:
    if sent is None or not hmac.compare_digest(sent.encode(errors="replace"), token(session).encode()):
        raise CrossSiteRequest(
            "This change lacks the token of the page that made it; load the page again and repeat the change"
        )


def check_origin(request: web.Request, own: str | None) -> None:
    """Raise CrossSiteRequest for a change that comes from a page of another site.

    *own* is the public URL of the gateway. Without one, the page's origin is compared with `Host`.
    """
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("Origin", "")
    scheme, _, authority = origin.partition("://")
    host = request.headers.get("Host", "").lower()
    same = origin == origin_of(own) if own else authority.lower() == host
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin" or not scheme or not same:
        raise CrossSiteRequest(
            f"This change comes from {origin[:200] or 'no page'!r}; only pages of the dashboard may make it"
        )
