"""The rights of a key: its scopes, the job that it may be kept to, and the keys that it may make. Pure."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal, Self, get_args

from shared.core.entities import ApiKey
from shared.errors import Forbidden, NotFound

Scope = Literal["read", "submit", "upload", "admin"]
"""The right of a key that a request needs."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
_INCLUDED: dict[str, frozenset[str]] = {
    "read": frozenset({"read"}),
    "upload": frozenset({"upload"}),
    "submit": frozenset({"submit", "read", "upload"}),
    "admin": frozenset(SCOPES),
}
LONGEST_MADE = timedelta(days=1)
"""How long a key lasts at most that was made by one without `admin`."""
MAX_PARENTS = 8
"""How many keys may have made each other, so that each is found with all of its makers."""


@lru_cache(maxsize=64)
def covered(scopes: frozenset[str]) -> frozenset[str]:
    """The scopes, and those that they include."""
    return frozenset().union(*(_INCLUDED[scope] for scope in scopes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """On whose behalf a request is made.

    `key_id` is None for GRISTMILL_API_KEY, and while the gateway needs no key. With `job` the caller may use
    this job only.
    """

    tenant: str
    scopes: frozenset[str]
    key_id: str | None = None
    parents: tuple[str, ...] = ()
    job: str | None = None
    expires_at: datetime | None = None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        return cls(
            tenant=key.tenant,
            scopes=frozenset(key.scopes),
            key_id=key.id,
            parents=key.parents,
            job=key.job,
            expires_at=key.expires_at,
        )

    @property
    def line(self) -> tuple[str, ...]:
        """The parents of the keys that it makes."""
        return self.parents if self.key_id is None else (*self.parents, self.key_id)

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes

    @property
    def shown(self) -> str:
        return f"the key {self.key_id} has {_listed(self.scopes)}"


def check_scope(caller: Caller, needed: Scope) -> None:
    """Raise Forbidden unless the caller has the scope."""
    if needed not in covered(caller.scopes):
        raise Forbidden(f"This request needs the scope {needed}, and {caller.shown}; use another key")


def check_job(caller: Caller, job_id: str | None) -> None:
    """If the caller has one job only, raise Forbidden for no job, and NotFound for another one."""
    if caller.job is None or job_id == caller.job:
        return
    if job_id is None:
        only = f"/v1/jobs/{caller.job} and the paths below it only"
        raise Forbidden(f"The key {caller.key_id} opens {only}; use another key")
    raise NotFound(f"There is no job {job_id}")


def check_making(maker: Caller, scopes: AbstractSet[str]) -> None:
    """Raise Forbidden unless *maker* may make a key with the scopes."""
    if beyond := scopes - covered(maker.scopes):
        raise Forbidden(
            f"A key makes keys with its own scopes only: {maker.shown}, and not {_listed(beyond)}"
        )
    if len(maker.parents) >= MAX_PARENTS:
        raise Forbidden(
            f"The key {maker.key_id} is the last of {MAX_PARENTS + 1} keys that made each other; "
            f"use one of the first, such as {maker.parents[0]}"
        )


def lifetime(maker: Caller, asked: timedelta | None) -> timedelta | None:
    """How long a key may last that *maker* makes; None is for ever. Raises Forbidden if *asked* is longer."""
    if maker.is_admin:
        return asked
    if asked is not None and asked > LONGEST_MADE:
        seconds = f"{asked.total_seconds():,.0f} seconds"
        raise Forbidden(f"A key without the scope admin makes keys that last at most 1d, not {seconds}")
    return asked or LONGEST_MADE


def _listed(scopes: AbstractSet[str]) -> str:
    return " and ".join(scope for scope in SCOPES if scope in scopes)
