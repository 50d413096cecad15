"""Whether a unit is tried again after a lease of it has ended without a commit.

Each way in which a lease can end is a cause. `RULES` gives for each cause its charge, which end of that
charge is the last, and when the unit may be claimed again. `decide` applies the rules. The worker that ran
the unit asks it, and so does the sweeper for a lease that has expired.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.core.lifecycle import UnitKind
from shared.core.timings import Timings
from shared.errors import (
    ChildCrashed,
    CutsRefuted,
    DatabaseUnavailable,
    DeadlineExceeded,
    GristmillError,
    Interruption,
    OutOfMemory,
    Preempted,
    ReaderCrashed,
    ResultLocked,
    SourceChanged,
    TransientError,
    WorkerLost,
)


class Charge(StrEnum):
    """The count that the end of a lease belongs to."""

    DEATH = "death"
    CRASH = "crash"
    ERROR = "error"
    MEMORY = "memory"
    PREEMPTION = "preemption"
    NOTHING = "nothing"


class Cause(StrEnum):
    """How a lease ended, as far as it matters for the next try."""

    WORKER_DIED = "the worker died"
    CHILD_CRASHED = "the child crashed"
    READER_CRASHED = "the child crashed while it read a file of a binary format"
    DEADLINE_PASSED = "the deadline passed"
    OUT_OF_MEMORY = "memory ran out"
    TRANSIENT_ERROR = "a transient error"
    UNAVAILABLE = "Postgres was away, or a lock was held"
    PREEMPTED = "another tenant waited for a slot"
    INTERRUPTED = "the unit was no longer wanted"
    CUTS_REFUTED = "a guessed cut was wrong"
    SOURCE_CHANGED = "a file changed after it was planned"
    FATAL = "an error that no other try can help"


CAUSES: tuple[tuple[type[GristmillError], Cause], ...] = (
    (Preempted, Cause.PREEMPTED),
    (CutsRefuted, Cause.CUTS_REFUTED),
    (Interruption, Cause.INTERRUPTED),
    (DatabaseUnavailable, Cause.UNAVAILABLE),
    (ResultLocked, Cause.UNAVAILABLE),
    (TransientError, Cause.TRANSIENT_ERROR),
    (WorkerLost, Cause.WORKER_DIED),
    (ReaderCrashed, Cause.READER_CRASHED),
    (ChildCrashed, Cause.CHILD_CRASHED),
    (DeadlineExceeded, Cause.DEADLINE_PASSED),
    (OutOfMemory, Cause.OUT_OF_MEMORY),
    (SourceChanged, Cause.SOURCE_CHANGED),
    (GristmillError, Cause.FATAL),
)
"""The cause that each error stands for; the first class that fits."""


def cause_of(error: GristmillError) -> Cause:
    return next(cause for kind, cause in CAUSES if isinstance(error, kind))


def backoff(before: int, timings: Timings) -> timedelta:
    """Doubling from `retry_first` up to `retry_limit`; *before* counts the tries from 0."""
    return min(timings.retry_first * float(2 ** min(before, 20)), timings.retry_limit)


def _at_once(_before: int, _timings: Timings) -> timedelta:
    return timedelta()


def _after_a_heartbeat(_before: int, timings: Timings) -> timedelta:
    """By then the tenant that waits has its slot."""
    return timings.heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """*limit*: the end of this number, counted from 1, is the last; None if a unit may always be tried again.

    *after_guess*: the guesses of an unproven plan, its cuts or its schema, may be at fault.
    """

    charge: Charge
    limit: int | None = None
    delay: Callable[[int, Timings], timedelta] = backoff
    after_guess: bool = False


RULES: Mapping[Cause, Rule] = {
    Cause.WORKER_DIED: Rule(charge=Charge.DEATH, limit=5),
    Cause.CHILD_CRASHED: Rule(charge=Charge.CRASH, limit=3),
    Cause.READER_CRASHED: Rule(charge=Charge.CRASH, limit=2),  # the file is to blame: no third try
    Cause.DEADLINE_PASSED: Rule(charge=Charge.CRASH, limit=3),
    Cause.OUT_OF_MEMORY: Rule(charge=Charge.MEMORY, limit=5, after_guess=True),
    Cause.TRANSIENT_ERROR: Rule(charge=Charge.ERROR, limit=12),
    Cause.UNAVAILABLE: Rule(charge=Charge.NOTHING),  # an outage, or a reader's lock, is charged to no unit
    Cause.PREEMPTED: Rule(charge=Charge.PREEMPTION, delay=_after_a_heartbeat),
    Cause.INTERRUPTED: Rule(charge=Charge.NOTHING, delay=_at_once),
    Cause.CUTS_REFUTED: Rule(charge=Charge.NOTHING, limit=1, after_guess=True),
    Cause.SOURCE_CHANGED: Rule(charge=Charge.NOTHING, limit=1),
    Cause.FATAL: Rule(charge=Charge.NOTHING, limit=1, after_guess=True),
}
FAN_IN_LIMIT = 12
"""How many unexpected errors of the step to the next phase a job may have: the last of them fails it."""
MEMORY_LIMIT_UNHALVED = 2
"""In place of the limit of OUT_OF_MEMORY, for all kinds but chunks.

A chunk is tried with half the batch each time; the others have nothing to halve.
"""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """The unit is pending again, and may be claimed after *delay*."""

    charge: Charge
    delay: timedelta


@dataclass(frozen=True, slots=True)
class PlanAgain:
    """The job begins anew, with a plan that is proven: no job fails by a guess."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The unit and its job fail."""


Decision = GiveBack | PlanAgain | Fail


def decide(
    kind: UnitKind, before: Mapping[Charge, int], cause: Cause, timings: Timings, *, guessed: bool = False
) -> Decision:
    """The next step of a unit of *kind*, after one of its leases has ended by *cause*.

    *before*: how many of its leases ended before, by charge. For a charge that has no count of its own,
    it is how many there were in all. *guessed*: its plan was not proven.
    """
    rule = RULES[cause]
    guessed = guessed or cause is Cause.CUTS_REFUTED  # only guessed cuts can be refuted
    if exhausted(cause, before[rule.charge], kind):
        return PlanAgain() if guessed and rule.after_guess else Fail()
    return GiveBack(rule.charge, rule.delay(before[rule.charge], timings))


def exhausted(cause: Cause, before: int, kind: UnitKind = UnitKind.CHUNK) -> bool:
    """Whether there is no further try after one more such end; *before* leases ended so already."""
    limit = RULES[cause].limit
    if cause is Cause.OUT_OF_MEMORY and kind is not UnitKind.CHUNK:
        limit = MEMORY_LIMIT_UNHALVED
    return limit is not None and before + 1 >= limit
