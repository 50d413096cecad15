"""The table of `shared.core.retry`: what becomes of a unit, by its kind, its counts and the cause."""

from datetime import timedelta

import pytest

from shared.core.lifecycle import UnitKind
from shared.core.retry import (
    CAUSES,
    RULES,
    Cause,
    Charge,
    Fail,
    GiveBack,
    PlanAgain,
    backoff,
    cause_of,
    decide,
    exhausted,
)
from shared.core.timings import Timings
from shared.errors import (
    BadRow,
    ChildCrashed,
    CutsRefuted,
    DatabaseUnavailable,
    DeadlineExceeded,
    GristmillError,
    GroupLimitExceeded,
    InternalError,
    LeaseLost,
    OutOfMemory,
    Preempted,
    ReaderCrashed,
    ResultLocked,
    SchemaWidened,
    SourceChanged,
    StorageUnavailable,
    TypeMismatch,
    WorkerLost,
    subclasses,
)

TIMINGS = Timings()
ALWAYS = 1000
"""Far more leases than any limit."""
PLAN, CHUNK, MERGE, PUBLISH = UnitKind


def counts(**counted):
    """Of a unit: by the names of the charges, and `leases` in all."""
    before = dict.fromkeys(Charge, 0)
    leases = counted.pop("leases", sum(counted.values()))
    before |= {Charge(name): count for name, count in counted.items()}
    return before | {Charge.NOTHING: leases, Charge.PREEMPTION: leases}


def after(seconds, charge):
    return GiveBack(Charge(charge), timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("kind", "before", "cause", "decision"),
    [
        (CHUNK, counts(), Cause.WORKER_DIED, after(0.2, "death")),
        (CHUNK, counts(death=3), Cause.WORKER_DIED, after(1.6, "death")),
        (CHUNK, counts(death=4), Cause.WORKER_DIED, Fail()),
        (PLAN, counts(death=4, crash=1), Cause.CHILD_CRASHED, after(0.4, "crash")),
        (MERGE, counts(crash=2), Cause.CHILD_CRASHED, Fail()),
        (CHUNK, counts(crash=0), Cause.READER_CRASHED, after(0.2, "crash")),
        (PLAN, counts(crash=1), Cause.READER_CRASHED, Fail()),
        (CHUNK, counts(crash=1), Cause.DEADLINE_PASSED, after(0.4, "crash")),
        (PUBLISH, counts(crash=2), Cause.DEADLINE_PASSED, Fail()),
        (CHUNK, counts(memory=3), Cause.OUT_OF_MEMORY, after(1.6, "memory")),
        (CHUNK, counts(memory=4), Cause.OUT_OF_MEMORY, Fail()),
        (MERGE, counts(memory=0), Cause.OUT_OF_MEMORY, after(0.2, "memory")),
        (MERGE, counts(memory=1), Cause.OUT_OF_MEMORY, Fail()),
        (PLAN, counts(memory=1), Cause.OUT_OF_MEMORY, Fail()),
        (PUBLISH, counts(error=10), Cause.TRANSIENT_ERROR, after(30, "error")),
        (PUBLISH, counts(error=11), Cause.TRANSIENT_ERROR, Fail()),
        (PUBLISH, counts(leases=0), Cause.UNAVAILABLE, after(0.2, "nothing")),
        (PUBLISH, counts(leases=2), Cause.UNAVAILABLE, after(0.8, "nothing")),
        (CHUNK, counts(leases=ALWAYS), Cause.UNAVAILABLE, after(30, "nothing")),
        (CHUNK, counts(leases=0), Cause.PREEMPTED, after(3, "preemption")),
        (PLAN, counts(leases=ALWAYS), Cause.PREEMPTED, after(3, "preemption")),
        (MERGE, counts(leases=ALWAYS), Cause.INTERRUPTED, after(0, "nothing")),
        (CHUNK, counts(), Cause.SOURCE_CHANGED, Fail()),
        (CHUNK, counts(), Cause.FATAL, Fail()),
        (CHUNK, counts(), Cause.CUTS_REFUTED, PlanAgain()),
    ],
)
def test_what_becomes_of_a_unit(kind, before, cause, decision):
    assert decide(kind, before, cause, TIMINGS) == decision


@pytest.mark.parametrize(
    ("before", "cause", "decision"),
    [
        (counts(), Cause.CUTS_REFUTED, PlanAgain()),
        (counts(), Cause.FATAL, PlanAgain()),
        (counts(memory=4), Cause.OUT_OF_MEMORY, PlanAgain()),
        (counts(memory=3), Cause.OUT_OF_MEMORY, after(1.6, "memory")),
        (counts(crash=2), Cause.DEADLINE_PASSED, Fail()),
        (counts(crash=2), Cause.CHILD_CRASHED, Fail()),
        (counts(crash=1), Cause.READER_CRASHED, Fail()),
        (counts(error=11), Cause.TRANSIENT_ERROR, Fail()),
        (counts(death=4), Cause.WORKER_DIED, Fail()),
        (counts(), Cause.SOURCE_CHANGED, Fail()),
    ],
)
def test_no_job_fails_by_a_guess_but_by_other_causes_it_does(before, cause, decision):
    assert decide(CHUNK, before, cause, TIMINGS, guessed=True) == decision


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("kind", UnitKind)
def test_the_last_try_is_the_last(kind, cause):
    limit = 2 if (cause, kind) in {(Cause.OUT_OF_MEMORY, other) for other in (PLAN, MERGE, PUBLISH)} else None
    limit = limit or RULES[cause].limit
    tries = [exhausted(cause, before, kind) for before in range(limit or ALWAYS)]

    assert tries == ([False] * (limit - 1) + [True] if limit else [False] * ALWAYS)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (WorkerLost("x"), Cause.WORKER_DIED),
        (ChildCrashed("x"), Cause.CHILD_CRASHED),
        (ReaderCrashed("x"), Cause.READER_CRASHED),
        (DeadlineExceeded("x"), Cause.DEADLINE_PASSED),
        (OutOfMemory("x"), Cause.OUT_OF_MEMORY),
        (StorageUnavailable("x"), Cause.TRANSIENT_ERROR),
        (DatabaseUnavailable("x"), Cause.UNAVAILABLE),
        (ResultLocked("x"), Cause.UNAVAILABLE),
        (Preempted("x"), Cause.PREEMPTED),
        (LeaseLost("x"), Cause.INTERRUPTED),
        (SchemaWidened("x", {}), Cause.INTERRUPTED),
        (CutsRefuted("x"), Cause.CUTS_REFUTED),
        (SourceChanged("x"), Cause.SOURCE_CHANGED),
        (BadRow("x"), Cause.FATAL),
        (TypeMismatch("x"), Cause.FATAL),
        (GroupLimitExceeded("x"), Cause.FATAL),
        (InternalError("x"), Cause.FATAL),
    ],
)
def test_each_error_stands_for_a_cause(error, cause):
    assert cause_of(error) is cause


def test_every_error_has_a_cause_and_every_cause_a_rule():
    assert set(RULES) == set(Cause)
    assert {cause for _, cause in CAUSES} == set(Cause)
    assert all(any(issubclass(error, kind) for kind, _ in CAUSES) for error in subclasses(GristmillError))


def test_no_class_stands_behind_one_that_contains_it():
    kinds = [kind for kind, _ in CAUSES]

    assert not any(issubclass(later, kind) for at, kind in enumerate(kinds) for later in kinds[at + 1 :])


def test_backoff_doubles_up_to_its_limit():
    assert [backoff(n, TIMINGS).total_seconds() for n in range(4)] == [0.2, 0.4, 0.8, 1.6]
    assert backoff(1000, TIMINGS) == TIMINGS.retry_limit
