"""Whole jobs of one process: the units of a worker on a real database, with the tasks of its children inline.

A test chooses the schema that the plan has, and the order in which the chunks run.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from shared.core.lifecycle import UnitKind
from shared.core.plan import PlannedColumn
from shared.db.plans import PlanStore
from shared.db.quarantine import QuarantineStore
from shared.db.units import Lease, NewUnit
from shared.errors import SchemaWidened, from_problem
from shared.settings import Settings
from shared.spec.version import STATE_VERSION
from tests.support.child_tasks import plan_task
from tests.support.store import World
from worker_service.child import tasks
from worker_service.context import Context
from worker_service.executors.processes.channel import MemoryFile
from worker_service.executors.protocol import Answer
from worker_service.messages import Failed, Widened, decode_outcome, encode
from worker_service.units.fan_in import advance
from worker_service.units.fold import Claim
from worker_service.units.run import run_unit


class InlineChild:
    """A `Child` that runs each task where it is asked to."""

    alive = True

    @contextmanager
    def attachment(self) -> Iterator[MemoryFile]:
        file = MemoryFile.create("attachment")
        yield file
        file.close()

    @asynccontextmanager
    async def run(
        self, task: Any, allowed: timedelta, attachment: MemoryFile | None = None
    ) -> AsyncIterator[Answer[Any]]:
        message, parts = tasks.answer(encode(task), attachment)
        outcome = decode_outcome(message)
        if isinstance(outcome, Widened):
            raise SchemaWidened(outcome.detail, outcome.types)
        if isinstance(outcome, Failed):
            assert outcome.traceback is None, outcome.traceback
            raise from_problem(outcome.problem)
        body = MemoryFile.create("body", b"".join(parts))
        yield Answer(outcome, body)
        body.close()

    def preempt(self) -> bool:
        return False


@dataclass(frozen=True)
class Outcome:
    """How a job ended: the digest of its rows, and its bad rows as (uri, byte, line, reason, record)."""

    state: str
    error: dict[str, Any] | None
    digest: str | None
    kept: list[tuple[Any, ...]]


def context(world: World, settings: Settings) -> Context:
    return Context(
        settings=settings,
        timings=world.timings,
        pool=world.pool,
        jobs=world.jobs,
        units=world.units,
        partials=world.partials,
        fan_in=world.fan_in,
        publishing=world.publishing,
        plans=PlanStore(world.pool),
        doorbell=None,  # type: ignore[arg-type]  # all units run in this process
        executor=None,  # type: ignore[arg-type]  # the child is given
        worker_id="w1",
    )


async def run_job(
    url: str,
    spec: dict[str, Any],
    paths: list[Path],
    *,
    types: dict[str, str],
    chunk_bytes: int = 1 << 20,
    batch_bytes: int = 1 << 20,
    order: Callable[[list[Lease]], list[Lease]] = list,
    fold: bool = False,
) -> Outcome:
    """Run a job over CSV files to its end.

    Undeclared columns have the *types* that its plan saw in samples. *order* takes the chunks that are
    pending together, and gives them in the order in which they run. With *fold*, chunks join folds instead.
    """
    world = World(url)
    try:
        ctx, job_id = await planned_job(world, spec, paths, types, chunk_bytes, batch_bytes)
        await _finish(world, ctx, job_id, None if fold else order)
        return await _outcome(world, job_id)
    finally:
        await world.pool.close()


async def planned_job(
    world: World,
    spec: dict[str, Any],
    paths: list[Path],
    types: dict[str, str],
    chunk_bytes: int,
    batch_bytes: int = 1 << 20,
) -> tuple[Context, str]:
    """A job whose chunks are pending, and the context of the worker w1."""
    await world.beat(slots=1000)
    ctx = context(
        world, Settings(database_url=world.url, redis_url="redis://nowhere", batch_bytes=batch_bytes)
    )
    job, _ = await world.jobs.submit(
        "default", spec, "d", idempotency_key=None, priority=5, labels={},
        result_name=spec.get("output", {}).get("name"), kept_versions=1, uploads=[], deadline=None,
        state_version=STATE_VERSION,
    )  # fmt: skip
    await _plan(world, await world.claimed(job_id=job.id), spec, paths, types, chunk_bytes)
    return ctx, job.id


def joining(world: World) -> Claim:
    """A claim of further chunks of w1 for its fold."""

    async def claim(first: Lease) -> Lease | None:
        return await world.units.claim_of_job("w1", first.job_id, fold=first.id)

    return claim


async def _plan(
    world: World, lease: Lease, spec: dict[str, Any], paths: list[Path], types: dict[str, str], size: int
) -> None:
    outcome, _ = tasks.run(plan_task(spec, *paths, chunk_bytes=size, max_chunks=10**6, prove=True))
    assert not isinstance(outcome, Failed), outcome
    columns = tuple(
        column
        if column.declared
        else PlannedColumn(column.name, types.get(column.name, column.type), column.declared, column.key)
        for column in outcome.plan.schema
    )
    chunks = [
        NewUnit(no=no, payload=chunk.payload, bytes=chunk.bytes) for no, chunk in enumerate(outcome.chunks())
    ]
    await world.units.complete_plan(lease, replace(outcome.plan, schema=columns), chunks)


async def _finish(
    world: World, ctx: Context, job_id: str, order: Callable[[list[Lease]], list[Lease]] | None
) -> None:
    """Run units to the end of the job; without *order* chunks join folds."""
    child, claim = InlineChild(), joining(world)
    turns = 0
    while (await world.state(job_id)) in {"queued", "running", "cancelling"}:
        turns += 1
        assert turns < 20, "the job does not end"
        await world.beat(slots=1000)
        leases = []
        while (lease := await world.units.claim_of_job("w1", job_id)) is not None:
            if order is None:
                await run_unit(ctx, lease, child, claim)
            else:
                leases.append(lease)
        for lease in order(leases) if order and leases and leases[0].kind is UnitKind.CHUNK else leases:
            await run_unit(ctx, lease, child)
        await advance(ctx, job_id)
        await world.jobs.finish_ending(job_id)  # as a sweeper does


async def _outcome(world: World, job_id: str) -> Outcome:
    job = await world.jobs.get("default", job_id)
    assert job is not None
    kept = QuarantineStore(world.pool, world.pool)
    rows, _ = await kept.page(job_id, await world.value(_EPOCH, job_id), (-1, -1), 1000)
    return Outcome(
        state=job.state,
        error=job.error,
        digest=await world.value("SELECT digest FROM gristmill.versions WHERE job_id = $1", job_id),
        kept=[(row.uri, row.byte, row.line, row.reason, row.text) for row in rows],
    )


_EPOCH = "SELECT epoch FROM gristmill.jobs WHERE id = $1"
