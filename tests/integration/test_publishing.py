"""Building a result's indexes, when an earlier attempt that was thought dead does so too."""

import asyncio

import asyncpg
import pytest

from shared.db import result_tables as ddl
from shared.errors import DatabaseUnavailable, TooManyColumns
from tests.support.store import COLUMNS
from tests.support.waiting import eventually

TABLE = "job_indexed"


@pytest.fixture
async def rival(world):
    await world.value(ddl.create_table(TABLE, COLUMNS))
    rival = await asyncpg.connect(world.url)
    yield rival
    await rival.close()


INDEXES = """
SELECT array_agg(relname::text ORDER BY relname), count(*) FILTER (WHERE indisprimary), bool_and(indisvalid)
FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'gristmill_results.job_indexed'::regclass
"""
MADE = [[f"{TABLE}_0", f"{TABLE}_key", f"{TABLE}_pkey"], 1, True]


async def test_an_index_that_another_attempt_makes_at_the_same_time_is_waited_for_and_then_found(
    world, rival
):
    await rival.execute("BEGIN")
    await rival.execute(ddl.key_index(TABLE, ["k"]))
    building = asyncio.create_task(world.publishing.build_indexes(TABLE, ["k"], [["k"]]))
    other = "SELECT count(*) FROM pg_class WHERE relname = $1"
    while not building.done() and not await world.value(other, f"{TABLE}_0"):
        await asyncio.sleep(0)
    assert not building.done(), "the other indexes do not wait for that of the keys"
    while not building.done() and not await world.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        await asyncio.sleep(0)
    await rival.execute("COMMIT")

    with pytest.raises(DatabaseUnavailable):
        await building
    await world.publishing.build_indexes(TABLE, ["k"], [["k"]])
    assert list(await rival.fetchrow(INDEXES)) == MADE


@pytest.mark.parametrize(
    "key", [ddl.row_index, lambda name: ddl.row_index(name) + ";" + ddl.primary_key(name)]
)
async def test_indexes_of_an_attempt_that_died_are_kept(world, rival, key):
    await rival.execute(key(TABLE))
    for _ in range(2):
        await world.publishing.build_indexes(TABLE, ["k"], [["k"]])
        assert list(await rival.fetchrow(INDEXES)) == MADE


async def test_two_rows_of_one_group_are_refused_by_the_index(world, rival):
    """A bug: no other step would notice."""
    await rival.execute(f"INSERT INTO gristmill_results.{TABLE} VALUES (1, 'same'), (2, 'same')")

    with pytest.raises(asyncpg.UniqueViolationError):
        await world.publishing.build_indexes(TABLE, ["k"], [])


async def test_the_planner_knows_the_rows_at_once_and_the_values_soon(stack):
    uri = stack.write("publishing/planner.csv", "k,x\n" + "".join(f"{no},1\n" for no in range(5000)))
    job = stack.run(
        {"source": {"uris": [uri]}, "group_by": ["k"], "aggregates": [{"fn": "sum", "column": "x"}]}
    )
    assert stack.sql("SELECT reltuples FROM pg_class WHERE relname = %s", job["id"]) == [(5000.0,)]
    known = "SELECT n_distinct FROM pg_stats WHERE tablename = %s AND attname IN ('k', '_id')"
    eventually(lambda: stack.sql(known, job["id"]) == [(-1.0,), (-1.0,)], "the statistics")


async def test_a_result_that_is_deleted_at_once_needs_no_statistics(world):
    await world.publishing.tidy("job_deleted")


async def rows(text):
    yield text.encode()


async def test_a_row_that_is_too_wide_after_all_is_called_so(world):
    """Of a job that was planned before widths were checked."""
    columns = [{"name": f"c{no}", "type": "string"} for no in range(400)]
    await world.value(ddl.create_table(TABLE, columns))
    with pytest.raises(TooManyColumns, match="row is too big"):
        async with world.pool.transaction() as tx:
            await world.publishing.copy(
                tx, TABLE, [c["name"] for c in columns], rows("1," + ",".join(["x" * 23] * 400) + "\n")
            )


async def test_sums_that_make_a_row_too_wide_when_they_become_numeric_are_called_so(world):
    """Each is counted as 8 bytes when the job is planned."""
    columns = [{"name": f"c{no}", "type": "int64"} for no in range(1000)]
    await world.value(ddl.create_table(TABLE, columns))
    numbers = ", ".join(["9123456789123456789"] * 1000)
    await world.value(f"INSERT INTO gristmill_results.{TABLE} VALUES (1, {numbers}) RETURNING 1")
    with pytest.raises(TooManyColumns, match="row is too big"):
        await world.publishing.widen_columns(TABLE, [c["name"] for c in columns])
