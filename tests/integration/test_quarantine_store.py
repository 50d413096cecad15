"""Bad rows obey the protocol: written behind the fence, gone with their chunk, counted before the merge."""

import pytest

from shared.core.bad_rows import QuarantineRow
from shared.core.plan import ChunkPayload, ChunkStats, Extent, PlanPayload
from shared.core.retry import Charge
from shared.core.row_counts import RowCounts
from shared.db.quarantine import QuarantineStore
from shared.db.units import Done, NewUnit
from shared.errors import LeaseLost, TooManyBadRows
from tests.support.store import PLAN, PROBLEM, WIDER


def bad(*lines, extent=0):
    return [
        QuarantineRow(
            extent=extent, uri="file:///a", byte=line * 10, line_of_extent=line, reason="bad", value=str(line)
        )
        for line in lines
    ]


async def planned(world, *extents):
    """A job whose chunks have these extents; each is (file, start, end)."""
    plan = await world.leased()
    units = [
        NewUnit(no=no, payload=ChunkPayload(tuple(Extent(*extent) for extent in chunk)), bytes=10)
        for no, chunk in enumerate(extents)
    ]
    await world.units.complete_plan(plan, PLAN, units)
    return plan.job_id


async def commit(world, lease, rows, lines=(100,), most=None):
    counts = RowCounts(read=len(rows) + 1, aggregated=1, quarantined=len(rows))
    done = Done(counts=counts, rows_out=0, stats=ChunkStats(tuple(lines)))
    await world.partials.commit(lease, done, iter(()), rows, most)


async def kept(world, job_id):
    store = QuarantineStore(world.pool, world.pool)
    epoch, _ = await store.job("default", job_id)
    rows, further = await store.page(job_id, epoch, (-1, -1), 100)
    assert not further
    return [(row.chunk, row.no, row.line) for row in rows]


async def test_the_lines_of_bad_rows_are_those_of_their_extents_and_of_the_extents_before(world):
    job_id = await planned(world, [(0, 0, 5)], [(0, 5, 9), (1, 0, 4)], [(1, 4, 8)])
    first, second, third = [await world.claimed(job_id=job_id) for _ in range(3)]
    await commit(world, third, bad(1, 2), (50,))
    await commit(world, second, [*bad(7), *bad(3, extent=1)], (20, 30))
    assert await kept(world, job_id) == [(1, 0, None), (1, 1, None), (2, 0, None), (2, 1, None)]
    await commit(world, first, [], (10,))
    await world.advance(job_id, None)
    assert await kept(world, job_id) == [(1, 0, 17), (1, 1, 3), (2, 0, 31), (2, 1, 32)]


# fault matrix: 59
async def test_a_commit_that_lost_its_lease_leaves_no_bad_row(world):
    job_id = await planned(world, [(0, 0, 5)])
    lost = await world.claimed(job_id=job_id)
    await world.units.give_back(lost, Charge.NOTHING)
    again = await world.claimed(job_id=job_id)
    with pytest.raises(LeaseLost):
        await commit(world, lost, bad(1, 2))
    assert await kept(world, job_id) == []
    await commit(world, again, bad(1, 2))
    await commit(world, again, bad(1, 2))  # an answer that was lost
    assert await kept(world, job_id) == [(0, 0, None), (0, 1, None)]


@pytest.mark.parametrize("most", [3, 4])
# fault matrix: 60
async def test_two_chunks_that_commit_at_once_are_counted_together_before_the_merge(world, most):
    job_id = await planned(world, [(0, 0, 5)], [(0, 5, 9)])
    one, two = [await world.claimed(job_id=job_id) for _ in range(2)]

    async def meanwhile(tx):
        await commit(world, two, bad(3, 4), most=most)

    rows = bad(1, 2)
    async with world.units.fenced(one) as tx:
        counts = RowCounts(read=2, quarantined=2)
        await world.units.mark_done(tx, one, Done(counts=counts, stats=ChunkStats((9,))))
        await meanwhile(tx)  # sees nothing of the open transaction
    if most == 3:
        with pytest.raises(TooManyBadRows, match="more than 3 rows are bad") as raised:
            await world.advance(job_id, most)
        assert raised.value.errors[0] == {
            "detail": "bad", "uri": "file:///a", "byte": 30, "line": 12, "value": "3"
        }  # fmt: skip
    else:
        assert await world.advance(job_id, most)
    assert len(rows) == 2


async def test_a_chunk_that_makes_too_many_leaves_nothing_and_may_be_failed(world):
    job_id = await planned(world, [(0, 0, 5)], [(0, 5, 9)])
    one, two = [await world.claimed(job_id=job_id) for _ in range(2)]
    await commit(world, one, bad(1, 2), most=3)
    with pytest.raises(TooManyBadRows, match="some of them: file:///a: byte 10: bad"):
        await commit(world, two, bad(1, 2), most=3)
    assert await kept(world, job_id) == [(0, 0, None), (0, 1, None)]
    await world.units.fail(two, PROBLEM)
    assert (await world.jobs.get("default", job_id)).state == "failed"
    assert await kept(world, job_id) == [(0, 0, None), (0, 1, None)]


async def test_bad_rows_vanish_when_their_chunks_are_read_again_and_stay_when_others_are(world):
    job_id = await planned(world, [(0, 0, 5)], [(0, 5, 9)])
    one, two = [await world.claimed(job_id=job_id) for _ in range(2)]
    await commit(world, one, bad(1, 2))
    await world.units.fail(two, PROBLEM)
    await world.jobs.retry("default", job_id)
    assert await kept(world, job_id) == [(0, 0, None), (0, 1, None)]
    two = await world.claimed(job_id=job_id)
    await world.units.widen(two, WIDER)
    assert await kept(world, job_id) == []
    one, two = [await world.claimed(job_id=job_id) for _ in range(2)]
    await commit(world, one, bad(1, 2))
    await world.units.plan_again(two, PlanPayload(prove=True))
    assert await world.value("SELECT count(*) FROM gristmill.quarantine") == 0


async def test_bad_rows_go_with_their_job(world):
    job_id = await planned(world, [(0, 0, 5)])
    await commit(world, await world.claimed(job_id=job_id), bad(1))
    await world.value("DELETE FROM gristmill.jobs WHERE id = $1 RETURNING id", job_id)
    assert await world.value("SELECT count(*) FROM gristmill.quarantine") == 0
