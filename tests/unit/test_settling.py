"""What a worker does when a unit has failed: how the decision is carried out, and in which words."""

import asyncio
import errno
from datetime import timedelta
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from shared.core.lifecycle import UnitKind
from shared.core.plan import ChunkPayload, MergeStats, PlanPayload, PublishPayload
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
from worker_service.executors.protocol import Answer, ChildDied
from worker_service.messages import MergeResult
from worker_service.units import merge, run
from worker_service.units.chunk import batch_bytes
from worker_service.units.persist import persist


class Units:
    def __init__(self) -> None:
        self.charges, self.problems, self.planned = [], [], []
        self.other = None

    async def give_back(self, lease, charge, *, delay=None, problem=None):
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
    counts = dict.fromkeys(("id", "no", "bytes", "epoch", "deaths", "crashes", "errors", "ooms"), 0)
    known = {
        "job_id": "job_1",
        "kind": "publish",
        "attempt": 1,
        "worker": "w",
        "allowed": timedelta(minutes=15),
        "payload": PublishPayload(),
    }
    given = counts | known | changes
    return Lease(**given | {"kind": UnitKind(given["kind"])})


async def after(ctx, one, error):
    """Run a unit that ends with *error*."""

    async def work(_):
        raise error

    ctx.planned = ctx.unplanned = work
    return await run.run_unit(ctx, one, None)


@pytest.mark.parametrize("error", [ResultLocked("held"), DatabaseUnavailable("away")])
async def test_what_is_not_charged_is_tried_ever_more_seldom_and_without_end(error):
    ctx = context()
    delays = [
        (await after(ctx, lease(attempt=attempt), error)).total_seconds() for attempt in (1, 2, 3, 1000)
    ]

    assert delays == [0.2, 0.4, 0.8, 30]
    assert ctx.units.charges == ["nothing"] * 4


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_a_machine_that_has_nothing_left_is_a_passing_error(number):
    ctx = context()

    assert await after(ctx, lease(), OSError(number, "nothing left")) == timedelta(seconds=0.2)
    assert ctx.units.charges == ["error"]


async def test_a_transient_error_that_does_not_pass_is_named_in_the_end():
    ctx = context()

    assert await after(ctx, lease(errors=11, attempt=12), StorageUnavailable("no disk")) is None
    [problem] = ctx.units.problems
    assert (problem["code"], problem["detail"]) == (
        "retries_exhausted",
        "Gave up after many tries: no disk",
    )


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (ChildDied("signal 9"), "child_crashed", "signal 9 while it ran publish 0"),
        (
            TimeoutError(),
            "deadline_exceeded",
            "publish 0 took longer than 0:15:00; lower options.chunk_bytes",
        ),
        (
            ZeroDivisionError(),
            "internal_error",
            "A bug in Gristmill; the worker's log has the stack trace",
        ),
    ],
)
async def test_an_error_that_is_none_of_ours_gets_a_name(error, code, detail):
    ctx = context()
    with capture_logs():
        assert await after(ctx, lease(crashes=2, attempt=3), error) is None

    [problem] = ctx.units.problems
    assert (problem["code"], problem["detail"]) == (code, detail)


async def test_a_unit_that_is_cancelled_goes_back_uncharged():
    ctx, begun = context(), asyncio.Event()

    async def work(_):
        begun.set()
        await asyncio.Event().wait()

    ctx.planned = ctx.unplanned = work
    task = asyncio.create_task(run.run_unit(ctx, lease(), None))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ctx.units.charges == ["nothing"]


async def test_each_try_after_running_out_of_memory_has_half_the_batch_and_the_last_one_is_named():
    ctx = context()
    tries = [lease(kind="chunk", ooms=ooms, attempt=ooms + 1) for ooms in range(5)]
    for one in tries:
        await after(ctx, one, OutOfMemory("full"))

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
async def test_no_job_fails_by_a_guess_it_is_planned_again_with_proof(error):
    ctx = context()
    last = lease(kind="chunk", ooms=4, attempt=5, payload=GUESSED)

    assert await after(ctx, last, error) is None
    assert (ctx.units.planned, ctx.units.problems, ctx.units.charges) == ([PlanPayload(prove=True)], [], [])
    await after(ctx, lease(kind="chunk", ooms=4, attempt=5), error)
    assert ([problem["code"] for problem in ctx.units.problems], len(ctx.units.planned)) == ([error.code], 1)


@pytest.mark.parametrize("error", [SourceChanged("it grew"), DeadlineExceeded("slow")])
async def test_a_file_that_changed_and_time_that_ran_out_have_nothing_to_do_with_guesses(error):
    ctx = context()
    await after(ctx, lease(kind="chunk", crashes=2, attempt=3, payload=GUESSED), error)

    assert (ctx.units.planned, len(ctx.units.problems)) == ([], 1)


@pytest.mark.parametrize(
    ("other", "charge"), [(LeaseLost("another epoch"), "nothing"), (StorageUnavailable("no"), "error")]
)
async def test_a_unit_that_cannot_be_planned_again_goes_back_as_when_another_worker_has_done_so(
    other, charge
):
    ctx = context()
    ctx.units.other = other
    await after(ctx, lease(kind="chunk", payload=GUESSED), CutsRefuted("no"))

    assert (ctx.units.charges, ctx.units.problems) == ([charge], [])


@pytest.mark.parametrize("kind", ["plan", "chunk"])
async def test_a_binary_file_that_crashes_its_reader_twice_is_corrupt_and_any_other_unit_has_a_third_try(
    kind,
):
    ctx = context()
    for crashes in (0, 1):
        await after(
            ctx,
            lease(kind=kind, crashes=crashes, attempt=crashes + 1),
            ReaderCrashed("signal 6 while it read file:///x"),
        )
    assert ctx.units.charges == ["crash"]
    [problem] = ctx.units.problems
    assert (problem["code"], problem["category"]) == ("corrupt_file", "source")
    assert "crashed its reader twice" in problem["detail"]
    assert "signal 6 while it read file:///x" in problem["detail"]

    for crashes in (0, 1, 2):
        await after(ctx, lease(kind=kind, crashes=crashes, attempt=crashes + 1), ChildCrashed("signal 6"))
    assert ctx.units.charges == ["crash"] * 3
    assert [problem["code"] for problem in ctx.units.problems] == ["corrupt_file", "child_crashed"]


async def test_a_merge_whose_columns_another_one_holds_keeps_its_rows_and_tries_to_widen_again():
    calls = []

    class Publishing:
        async def widen_columns(self, job_id, columns):
            calls.append(columns)
            if len(calls) < 3:
                raise DatabaseUnavailable("lock_timeout")

    class Completing(Units):
        async def complete(self, *_):
            calls.append("complete")

    job = SimpleNamespace(query=SimpleNamespace(result={}))
    answer = Answer(MergeResult(1, 1, MergeStats(widened=("n",))), body=None)
    ctx = context(publishing=Publishing(), units=Completing(), timings=Timings().scaled(0.001))
    await merge._commit(ctx, lease(kind="merge"), job, answer)

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
        await after(ctx, lease(kind="plan", attempt=attempt), Preempted("room")) for attempt in (1, 1000)
    ]

    assert delays == [ctx.timings.heartbeat] * 2
    assert ctx.units.charges == ["preemption"] * 2
