"""A fold: chunks of a job that one slot reads one after the other, and commits together.

Their states stay in the child until the last of them is read. So groups that they have in common are written
and merged once.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from shared.core.timings import Timings
from shared.db.units import Done, Lease
from shared.errors import LeaseLost
from shared.fault_points import reached

FOLD_GROUPS = 300_000
"""To write and merge so many groups takes about 3 % of `Timings.fold`. A fold of more is open for longer."""
FEW_GROUPS = 512
"""States of fewer groups are cheap to write and to merge; a fold saves their commits.

It is open for `Timings.fold_few` only, so that progress is seen.
"""
Claim = Callable[[Lease], Awaitable[Lease | None]]
"""Lease another chunk for the fold that begins with a lease; None if the slot is to end the fold."""


async def no_more(_: Lease) -> None:
    """The claim of a slot that folds nothing."""


class Fold:
    """The leases that one slot holds, in the order of the claims.

    `lease` is the unit at work, or the one that was read last. `done` is its report, if its states are held.
    The `earlier` ones are read. Any error voids the fold, and only `lease` is charged.
    """

    def __init__(self, lease: Lease, claim: Claim, timings: Timings) -> None:
        self.lease = self._first = lease
        self.earlier: list[tuple[Lease, Done]] = []
        self.done: Done | None = None
        self._claim = claim
        self._claimed = time.monotonic()
        self._timings = timings
        self._closes = self._claimed + timings.fold.total_seconds()
        self._deadline = self._claimed + lease.allowed.total_seconds()

    @property
    def leases(self) -> list[Lease]:
        return [*(lease for lease, _ in self.earlier), self.lease]

    @property
    def open(self) -> bool:
        """Whether another chunk may join."""
        return time.monotonic() < self._closes

    @property
    def allowed(self) -> timedelta:
        """The time for the next task, which ends by the first deadline of a lease."""
        if not self.earlier and self.done is None:
            return self.lease.allowed
        return timedelta(seconds=max(self._deadline - time.monotonic(), 0.0))

    def hold(self, done: Done, groups: int) -> None:
        """The unit at work was read, and the child keeps the states of so many groups."""
        self.done = done
        self._closes = self._claimed + _open_for(groups, self._timings).total_seconds()

    async def join(self) -> bool:
        """Go on with another chunk, while it is the job's turn. Raises LeaseLost if the epoch has risen."""
        reached("fold.held")
        lease = await self._claim(self._first) if self.open else None
        if lease is None:
            return False
        assert self.done is not None
        self.earlier.append((self.lease, self.done))
        self.lease, self.done = lease, None
        self._deadline = min(self._deadline, time.monotonic() + lease.allowed.total_seconds())
        reached("fold.joined")
        if lease.epoch != self._first.epoch:
            raise LeaseLost(f"Job {lease.job_id} is in another epoch now")
        return True


def _open_for(groups: int, timings: Timings) -> timedelta:
    """At most until the first lease loses its protection: a preemption would void all of the fold."""
    if groups < FEW_GROUPS:
        return timings.fold_few
    return min(timings.fold * max(1.0, groups / FOLD_GROUPS), timings.protected)
