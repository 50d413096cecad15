"""What becomes of a unit after a failure: when it is tried again, and as what it is counted."""

import asyncio
import errno
from datetime import timedelta
from types import SimpleNamespace

import pytest

from shared.core.plan import ChunkPayload, Plan, PlanPayload, PublishPayload
from shared.core.timings import Timings
from shared.db.units import Lease
from shared.errors import (
    BadRow,
    ChildCrashed,
    CutsRefuted,
    DatabaseUnavailable,
    DeadlineExceeded,
    GroupLimitExceeded,
    LeaseLost,
    OutOfMemory,
    Preempted,
    ReaderCrashed,
    ResultLocked,
    SourceChanged,
    StorageUnavailable,
    TypeMismatch,
)
from worker_service.units import merge, run
from worker_service.units.chunk import batch_bytes
from worker_service.units.persist import persist


class Units:
    def __init__(self) -> None:
        self.charges, self.problems, self.planned = [], [], []
        self.other = None

    async def give_back(self, lease, charge, *, delay, problem):
        self.charges.append(charge)

    async def fail(self, lease, problem):
        self.problems.append(problem)

    async def plan_again(self, lease, payload):
        if self.other is not None:
            raise self.other
        self.planned.append(payload)


def context(**changes):
    settings = SimpleNamespace(batch_bytes=8 * 1024**2, slot_memory_bytes=2**31)
    return SimpleNamespace(**{"units": Units(), "timings": Timings(), "settings": settings} | changes)


def lease(**changes):
    counts = dict.fromkeys(("id", "no", "epoch", "deaths", "crashes", "errors", "ooms"), 0)
    known = {
        "job_id": "job_1",
        "kind": "publish",
        "attempt": 1,
        "worker": "w",
        "allowed": timedelta(minutes=15),
        "payload": PublishPayload(),
    }
    return Lease(**counts | known | changes)


async def after(ctx, lease, error, monkeypatch):
    async def failing(*_):
        raise error

    monkeypatch.setattr(run, "_do", failing)
    return await run.run_unit(ctx, lease, None)


@pytest.mark.parametrize("error", [ResultLocked("held"), DatabaseUnavailable("away")])
async def test_what_is_charged_to_nobody_is_tried_ever_more_seldom_and_without_end(error, monkeypatch):
    ctx = context()
    delays = [
        (await after(ctx, lease(attempt=attempt), error, monkeypatch)).total_seconds()
        for attempt in (1, 2, 3, 1000)
    ]

    assert delays == [0.2, 0.4, 0.8, 30]
    assert ctx.units.charges == ["nothing"] * 4


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_a_machine_that_has_nothing_left_is_a_passing_error(number, monkeypatch):
    ctx = context()

    assert await after(ctx, lease(), OSError(number, "nothing left"), monkeypatch) == timedelta(seconds=0.2)
    assert ctx.units.charges == ["error"]


async def test_each_try_after_running_out_of_memory_has_half_the_batch_and_the_last_is_the_one_that_is_named(
    monkeypatch,
):
    ctx = context()
    tries = [lease(kind="chunk", ooms=ooms, attempt=ooms + 1) for ooms in range(5)]
    for one in tries:
        await after(ctx, one, OutOfMemory("full"), monkeypatch)

    assert [batch_bytes(ctx, one) for one in tries] == [
        8 * 1024**2,
        4 * 1024**2,
        2 * 1024**2,
        1024**2,
        512 * 1024,
    ]
    assert ctx.units.charges == ["memory"] * 4
    [problem] = ctx.units.problems
    assert "even with batches of 524,288 bytes" in problem["detail"]


GUESSED = ChunkPayload(extents=(), guessed=True)


@pytest.mark.parametrize(
    "error", [BadRow("ragged"), GroupLimitExceeded("many"), TypeMismatch("text"), OutOfMemory("full")]
)
async def test_no_job_fails_by_a_guess_it_is_planned_again_with_proof(error, monkeypatch):
    ctx = context()
    last = lease(kind="chunk", ooms=4, attempt=5, payload=GUESSED)

    assert await after(ctx, last, error, monkeypatch) is None
    assert (ctx.units.planned, ctx.units.problems, ctx.units.charges) == ([PlanPayload(prove=True)], [], [])
    await after(ctx, lease(kind="chunk", ooms=4, attempt=5), error, monkeypatch)
    assert ([problem["code"] for problem in ctx.units.problems], len(ctx.units.planned)) == ([error.code], 1)


@pytest.mark.parametrize("error", [SourceChanged("it grew"), DeadlineExceeded("slow")])
async def test_a_file_that_changed_and_time_that_ran_out_have_nothing_to_do_with_guesses(error, monkeypatch):
    ctx = context()
    await after(ctx, lease(kind="chunk", crashes=2, attempt=3, payload=GUESSED), error, monkeypatch)

    assert (ctx.units.planned, len(ctx.units.problems)) == ([], 1)


@pytest.mark.parametrize(
    ("other", "charge"), [(LeaseLost("another epoch"), "nothing"), (StorageUnavailable("no"), "error")]
)
async def test_who_cannot_plan_again_as_when_another_one_has_done_so_gives_its_unit_back(
    other, charge, monkeypatch
):
    ctx = context()
    ctx.units.other = other
    await after(ctx, lease(kind="chunk", payload=GUESSED), CutsRefuted("no"), monkeypatch)

    assert (ctx.units.charges, ctx.units.problems) == ([charge], [])


@pytest.mark.parametrize("kind", ["plan", "chunk"])
async def test_a_binary_file_that_crashes_its_reader_a_second_time_is_corrupt_and_any_other_unit_has_a_third_try(
    kind, monkeypatch
):
    ctx = context()
    for crashes in (0, 1):
        await after(
            ctx,
            lease(kind=kind, crashes=crashes, attempt=crashes + 1),
            ReaderCrashed("signal 6 while it read file:///x"),
            monkeypatch,
        )
    assert ctx.units.charges == ["crash"]
    [problem] = ctx.units.problems
    assert (problem["code"], problem["category"]) == ("corrupt_file", "source")
    assert "crashed its reader twice" in problem["detail"]
    assert "signal 6 while it read file:///x" in problem["detail"]

    for crashes in (0, 1, 2):
        await after(
            ctx, lease(kind=kind, crashes=crashes, attempt=crashes + 1), ChildCrashed("signal 6"), monkeypatch
        )
    assert ctx.units.charges == ["crash"] * 3
    assert [problem["code"] for problem in ctx.units.problems] == ["corrupt_file", "child_crashed"]


async def test_a_merge_whose_columns_another_one_holds_keeps_its_rows_and_tries_to_widen_again(monkeypatch):
    calls = []

    class Publishing:
        async def widen_columns(self, job_id, columns):
            calls.append(columns)
            if len(calls) < 3:
                raise DatabaseUnavailable("lock_timeout")

    class Completing(Units):
        async def complete(self, *_):
            calls.append("complete")

    monkeypatch.setattr(merge, "bind", lambda *_: SimpleNamespace(keys=[], aggregates=[]))
    monkeypatch.setattr(merge.JobSpec, "model_validate", lambda _: None)
    header = {"rows": 1, "rows_aggregated": 1, "widened": ["n"], "buckets": {}}
    work = SimpleNamespace(spec={}, plan=Plan(files=(), schema=(), bytes=0))
    ctx = context(publishing=Publishing(), units=Completing(), timings=Timings().scaled(0.001))
    await merge._commit(
        ctx, lease(kind="merge"), work, SimpleNamespace(header=header)
    )  # beyond it is a child process

    assert calls == [["n"], ["n"], ["n"], "complete"]


async def test_finished_work_is_offered_again_before_the_sweepers_may_call_it_late(monkeypatch):
    ctx, rests, answers = context(), [], iter([DatabaseUnavailable("away")] * 12)

    async def sleep(seconds):
        rests.append(seconds)

    async def commit():
        for error in answers:
            raise error

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await persist(ctx, commit)

    assert len(rests) == 12
    assert max(rests) == ctx.timings.grace.total_seconds() / 2


async def test_what_makes_room_for_another_tenant_is_never_given_up_and_comes_back_after_it(monkeypatch):
    ctx = context()
    delays = [
        await after(ctx, lease(kind="plan", attempt=attempt), Preempted("room"), monkeypatch)
        for attempt in (1, 1000)
    ]

    assert delays == [ctx.timings.heartbeat] * 2
    assert ctx.units.charges == ["preemption"] * 2
