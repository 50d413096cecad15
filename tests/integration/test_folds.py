"""Several chunks in one commit: the same ledger and digest as one by one. A fault charges a single chunk."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from shared.core.retry import Charge
from shared.core.row_counts import RowCounts
from shared.db.partials import Partial
from shared.db.units import Done
from shared.errors import LeaseLost, Preempted
from shared.spec.version import STATE_VERSION
from tests.support.inline import InlineChild, joining, planned_job, run_job
from tests.support.native import needs_library
from tests.support.store import WIDER
from worker_service.child import tasks
from worker_service.executors.protocol import ChildDied
from worker_service.maintenance.sweeper import Sweeper
from worker_service.units.run import run_unit

TYPES = {"k": "int64", "v": "int64"}
LEDGER = """
    SELECT no, rows_read, rows_aggregated, rows_filtered, rows_dropped, rows_quarantined, stats ->> 'lines'
    FROM gristmill.units WHERE job_id = $1 AND kind = 'chunk' ORDER BY no
"""
PARTIALS = "SELECT chunk, sum(groups)::int FROM gristmill.partials WHERE job_id = $1 GROUP BY 1 ORDER BY 1"
pytestmark = needs_library


@pytest.fixture(autouse=True)
def nothing_held():
    yield
    tasks._held.clear()


@pytest.fixture
def file(tmp_path):
    """1,000 records, of which those with a key of 0 are dropped, every 7th is filtered and one is bad."""
    lines = [f"{i % 5 or ''},{i}\n" for i in range(1000)]
    lines[600] = "1,one\n"
    path = tmp_path / "t.csv"
    path.write_text("k,v\n" + "".join(lines))
    return path


def spec(file):
    return {
        "source": {"uris": [f"file://{file}"], "types": TYPES},
        "where": "v % 7 != 0",
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}, {"fn": "mean", "column": "v"}, {"fn": "count"}],
        "semantics": "pandas",
        "options": {"on_bad_row": "quarantine"},
    }


async def planned(world, file):
    return await planned_job(world, spec(file), [file], TYPES, 1000)


class Child(InlineChild):
    """*meets*, called with the number of each task, may raise, or change the world."""

    def __init__(self, meets):
        self.meets, self.tasks = meets, 0

    @asynccontextmanager
    async def run(self, task, allowed, attachment=None):
        self.tasks += 1
        await self.meets(self.tasks)
        async with super().run(task, allowed, attachment) as answer:
            yield answer


async def chunks(world, job_id):
    """The (state, attempt, charges) of each chunk."""
    return [
        (u["state"], u["attempt"], u["crashes"], u["deaths"], u["preemptions"])
        for u in await world.units_of(job_id)
        if u["kind"] == "chunk"
    ]


async def rows(world, sql, job_id):
    async with world.pool.connection() as connection:
        return [tuple(row) for row in await connection.fetch(sql, job_id)]


async def test_chunks_of_a_fold_have_the_ledger_the_quarantine_and_the_digest_of_single_ones(world, file):
    outcomes, ledgers = [], []
    for fold in (False, True):
        outcomes.append(
            await run_job(world.url, spec(file), [file], types=TYPES, chunk_bytes=1000, fold=fold)
        )
        job_id = await world.value("SELECT id FROM gristmill.jobs ORDER BY created_at DESC LIMIT 1")
        ledgers.append(await rows(world, LEDGER, job_id))

    assert outcomes[0] == outcomes[1]
    assert (outcomes[0].state, len(outcomes[0].kept), len(ledgers[0])) == ("succeeded", 1, 6)
    assert ledgers[0] == ledgers[1]


async def test_the_last_chunk_of_a_fold_has_all_partials_and_one_transaction_ends_all(world, file):
    ctx, job_id = await planned(world, file)
    await run_unit(ctx, await world.claimed(job_id=job_id), InlineChild(), joining(world))

    bad = next(no for no, *_, kept, _ in await rows(world, LEDGER, job_id) if kept)
    assert await rows(world, PARTIALS, job_id) == [(bad, 4)], "a bad row ended the fold"
    finished = await world.value(
        "SELECT array_agg(no ORDER BY no) FROM gristmill.units WHERE kind = 'chunk' AND state = 'done' "
        "GROUP BY finished_at"
    )
    assert finished == [*range(bad + 1)]


async def test_a_chunk_that_is_most_of_the_input_is_committed_at_once(world, file):
    async def nothing(_):
        pass

    file.write_text("k,v\n" + "1,2\n" * 100)
    child, (ctx, job_id) = Child(nothing), await planned_job(world, spec(file), [file], TYPES, 1 << 20)
    await run_unit(ctx, await world.claimed(job_id=job_id), child, joining(world))
    assert child.tasks == 1, "a state that was held would have to be asked for"


async def test_progress_counts_the_commits_of_folds_and_of_single_chunks(world):
    job_id = await world.planned(7)
    claim, singles = joining(world), 2
    for _ in range(singles):
        await world.commit(await world.claimed(job_id=job_id))
    first = await world.claimed(job_id=job_id)
    second, third = await claim(first), await claim(first)
    under_way = await world.claimed(job_id=job_id)
    await claim(under_way)
    await world.partials.commit(third, Done(), iter(()), earlier=[(first, Done()), (second, Done())])

    progress = (await world.jobs.progress([job_id]))[job_id]

    assert (progress.chunks_done, progress.chunk_commits) == (singles + 3, singles + 1)
    assert progress.chunks_leased == 2


# fault matrix: 61
async def test_one_lost_lease_voids_the_fold_and_the_others_go_back_uncharged(world, file):
    ctx, job_id = await planned(world, file)
    first = await world.claimed(job_id=job_id)

    async def lose(task):
        if task == 3:
            await world.units.give_back(first, Charge.NOTHING, delay=timedelta(hours=1))

    await run_unit(ctx, first, Child(lose), joining(world))

    found = await chunks(world, job_id)
    assert {state for state, *_ in found} == {"pending"}
    assert {charge for _, _, *charges in found for charge in charges} == {0}
    assert await rows(world, PARTIALS, job_id) == []


# fault matrix: 61
@pytest.mark.parametrize(
    ("error", "charged", "others"),
    [(ChildDied("gone"), (1, 0, 0), (0, 0, 0)), (Preempted("x"), (0, 0, 1), (0, 0, 1))],
)
async def test_a_child_that_dies_is_charged_to_the_chunk_that_it_read_then(
    world, file, error, charged, others
):
    ctx, job_id = await planned(world, file)

    async def die(task):
        if task == 3:
            raise error

    await run_unit(ctx, await world.claimed(job_id=job_id), Child(die), joining(world))

    found = await chunks(world, job_id)
    assert found[:3] == [("pending", 1, *others), ("pending", 1, *others), ("pending", 1, *charged)]
    assert {attempt for _, attempt, *_ in found[3:]} == {0}


async def test_a_fold_that_is_cancelled_goes_back_whole(world, file):
    ctx, job_id = await planned(world, file)
    begun = asyncio.Event()

    async def wait(task):
        if task == 2:
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run_unit(ctx, await world.claimed(job_id=job_id), Child(wait), joining(world)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (await chunks(world, job_id))[:3] == [("pending", 1, 0, 0, 0)] * 2 + [("pending", 0, 0, 0, 0)]


async def test_a_chunk_of_a_later_epoch_joins_no_fold(world, file):
    ctx, job_id = await planned(world, file)
    first, other = [await world.claimed(job_id=job_id) for _ in range(2)]

    async def widen(task):
        if task == 1:
            await world.units.widen(other, WIDER)

    await run_unit(ctx, first, Child(widen), joining(world))

    found = await chunks(world, job_id)
    assert {state for state, *_ in found} == {"pending"}
    assert await rows(world, PARTIALS, job_id) == []


# fault matrix: 61
async def test_a_dead_worker_is_charged_to_the_last_lease_of_its_fold(world):
    job_id = await world.planned(3)
    claim = joining(world)
    first = await world.claimed(job_id=job_id)
    await claim(first)
    await claim(first)
    await world.value("UPDATE gristmill.workers SET seen_at = now() - interval '11 seconds' RETURNING 1")

    assert [held for _, _, held in await world.units.expired()] == [True, True, False]
    await Sweeper(world.jobs, world.units, world.advance, world.timings).run_once()

    assert await chunks(world, job_id) == [("pending", 1, 0, 0, 0)] * 2 + [("pending", 1, 0, 1, 0)]


async def test_a_fold_is_one_slot_at_work(world):
    job_id = await world.planned(3)
    first = await world.claimed(job_id=job_id)
    await joining(world)(first)
    await world.beat(slots=2)

    leases, _, free = await world.workers.rivals(
        lease=timedelta(seconds=10), state_version=STATE_VERSION, waited=timedelta()
    )
    assert ([lease.unit for lease in leases], free) == ([first.id], 1)
    assert len(await world.units.due()) == 1


# fault matrix: 61
async def test_a_raised_epoch_waits_for_the_commit_of_a_fold_and_undoes_it(world):
    job_id = await world.planned(3)
    first, second, other = [await world.claimed(job_id=job_id) for _ in range(3)]
    widening = None

    async def write(tx):
        nonlocal widening
        await world.partials.save(tx, second, [Partial(0, 0, 1, b"state", 5)])
        widening = asyncio.create_task(world.units.widen(other, WIDER))
        while not await world.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0)

    await world.units.complete(second, Done(rows_out=1), write, [(first, Done(counts=RowCounts()))])
    await widening

    assert {state for state, *_ in await chunks(world, job_id)} == {"pending"}
    assert await rows(world, PARTIALS, job_id) == []
    with pytest.raises(LeaseLost):
        await world.units.complete(second, Done(), write, [(first, Done())])
