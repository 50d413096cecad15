"""Every period of the unit protocol, in one class: tests scale them all to a tenth."""

from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Self

BYTE_DEADLINE = timedelta(microseconds=1)
"""Added to a unit's deadline for each byte of its input; a property of machines, so no test scales it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    heartbeat: timedelta = timedelta(seconds=3)
    lease: timedelta = timedelta(seconds=10)
    """A lease lives while its worker was seen within this time."""
    grace: timedelta = timedelta(seconds=10)
    """Nothing expires so soon after Postgres' start or the sweeper's reconnect: an outage charges no unit."""
    unit_deadline: timedelta = timedelta(minutes=15)
    """The longest that a unit may take, beside BYTE_DEADLINE for each byte of its input."""
    plan_deadline: timedelta = timedelta(hours=6)
    """The longest that a plan may take: it may list and prove many large files."""
    fold: timedelta = timedelta(seconds=3)
    """A slot that holds the states of chunks for so long takes no further chunk before it commits them.

    States of many groups may be held up to `protected`, and those of few groups up to `fold_few`: see
    `units.fold`.
    """
    fold_few: timedelta = timedelta(milliseconds=500)
    sweep: timedelta = timedelta(seconds=2)
    dispatch: timedelta = timedelta(seconds=1)
    ring_again: timedelta = timedelta(seconds=5)
    """A message that no claim answers is sent again after this time, doubled each time to `ring_limit`."""
    ring_limit: timedelta = timedelta(seconds=8)
    protected: timedelta = timedelta(seconds=10)
    """A lease is not preempted sooner (shared.core.fairness).

    Two heartbeats, the giving back and a claim come on top: a tenant waits less than 20 s.
    """
    poll_idle: timedelta = timedelta(milliseconds=500)
    retry_first: timedelta = timedelta(milliseconds=200)
    retry_limit: timedelta = timedelta(seconds=30)
    drain: timedelta = timedelta(seconds=20)
    prune: timedelta = timedelta(seconds=30)

    def scaled(self, factor: float) -> Self:
        return replace(self, **{f.name: getattr(self, f.name) * factor for f in fields(self)})
