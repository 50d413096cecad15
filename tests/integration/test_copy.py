"""Both formats of COPY: Postgres has the same table, to the bit, from either."""

import hashlib
from decimal import Context, Decimal
from itertools import pairwise

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from shared.db import result_tables as ddl
from shared.db.publishing import ColumnsWidened
from shared.errors import ValueOutOfRange
from tests.unit.kernels.test_native_rows import COLUMNS
from worker_service.kernels import Finalized, to_copy_binary, to_copy_csv
from worker_service.kernels.hashing import buckets

NAMES = {
    pa.bool_(): "bool",
    pa.int64(): "int64",
    pa.float64(): "float64",
    pa.utf8(): "string",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp",
    pa.timestamp("us", tz="UTC"): "timestamptz",
}


def name_of(kind):
    if pa.types.is_list(kind):
        return f"{name_of(kind.value_type)}[]"
    return f"decimal({kind.precision},{kind.scale})" if pa.types.is_decimal(kind) else NAMES[kind]


CONTEXT = Context(prec=60)


def finalized(columns):
    table = pa.table(columns)
    return Finalized(table, np.arange(1, table.num_rows + 1), {}, [])


def decimals(precision, scale):
    """Of every size, with zeros at either end of the digits."""
    r = np.random.default_rng(precision * 100 + scale)
    digits = [int(n) for n in r.integers(0, 10**9, 200)]
    numbers = [a * b**4 * 10 ** (a % 40) % 10 ** (1 + a % precision) * (-1) ** b for a, b in pairwise(digits)]
    numbers += [sign * 10**n for n in range(precision) for sign in (1, -1)] + [0, 10**precision - 1]
    values = [Decimal(n).scaleb(-scale, CONTEXT) for n in numbers]
    return pa.array([*values, None], pa.decimal128(precision, scale))


ROWS = {
    "every type": {name: column for name, column in COLUMNS.items() if name not in "elk"},
    "lists": {
        "l": COLUMNS["l"].slice(0, 4),
        "k": pa.array([["a", ""], ['b\\"', "NULL"], None, [], ["{,}"]]).slice(0, 4),
        "f": pa.array([[0.1, -0.0], [float("nan")], None, [float("inf"), 5e-324]]),
        "m": pa.array([[Decimal("1.50")], [Decimal("-0.01")], [], None], pa.list_(pa.decimal128(30, 2))),
        "d": pa.array([[0, -719162], [], None, [1]], pa.list_(pa.int32())).cast(pa.list_(pa.date32())),
        "z": pa.array([[0, -1], [], None, [1]], pa.list_(pa.timestamp("us", tz="UTC"))),
        "b": pa.array([[True], [False, True], None, []]),
    },
    **{
        f"decimal({p},{s})": {"m": decimals(p, s)}
        for p, s in [(38, 0), (38, 38), (18, 2), (38, 3), (9, 9), (30, 17)]
    },
    "no rows": {"i": pa.array([], pa.int64())},
    "many rows": {"i": pa.array(range(40_000)), "s": pa.array([f"t{i}" for i in range(40_000)])},
}


def slices(parts):
    async def given():
        for part in parts:
            yield part

    return given()


async def copied(world, table, columns, parts, *, binary):
    await world.value(ddl.create_table(table, columns))
    async with world.pool.transaction() as tx:
        names = [column["name"] for column in columns]
        await world.publishing.copy(tx, table, names, slices(parts), binary=binary)
    with psycopg.connect(world.url) as connection:
        return [
            read(connection, f"COPY gristmill_results.{table} TO STDOUT (FORMAT {how})")
            for how in ("binary", "text")
        ]


def read(connection, statement):
    with connection.cursor() as cursor, cursor.copy(statement) as rows:
        return b"".join(map(bytes, rows))


@pytest.mark.parametrize("rows", ROWS)
async def test_both_formats_make_the_same_table(world, rows):
    made = finalized(ROWS[rows])
    columns = [{"name": f.name, "type": name_of(f.type)} for f in made.table.schema]
    as_csv = await copied(world, "by_csv", columns, [to_copy_csv(made)], binary=False)
    assert await copied(world, "by_binary", columns, to_copy_binary(made), binary=True) == as_csv
    assert as_csv[1].count(b"\n") == made.table.num_rows


@pytest.mark.parametrize("micros", [-(2**63), -(2**63) + 946684800 * 10**6, -(2**62)])
async def test_a_time_that_postgres_cannot_store_is_refused(world, micros):
    made = finalized({"t": pa.array([micros], pa.timestamp("us"))})
    with pytest.raises(ValueOutOfRange, match="Postgres cannot store"):
        await copied(world, "late", [{"name": "t", "type": "timestamp"}], to_copy_binary(made), binary=True)


@pytest.mark.parametrize("days", [2**31 - 1, -(2**31), -(2**31) + 10957])
async def test_a_date_that_postgres_cannot_store_is_refused(world, days):
    made = finalized({"d": pa.array([days], pa.int32()).cast(pa.date32())})
    with pytest.raises(ValueOutOfRange, match="Postgres cannot store"):
        await copied(world, "late", [{"name": "d", "type": "date"}], to_copy_binary(made), binary=True)


async def test_binary_rows_are_not_copied_into_a_column_that_another_merge_has_widened(world):
    columns = [{"name": "a", "type": "int64"}, {"name": "b", "type": "int64"}]
    await world.value(ddl.create_table("wider", columns))
    async with world.pool.transaction() as tx:
        await world.publishing.hold_columns(tx, "wider", ["a", "b"])
    await world.publishing.widen_columns("wider", ["b"])
    async with world.pool.transaction() as tx:
        await world.publishing.hold_columns(tx, "wider", ["a"])
    with pytest.raises(ColumnsWidened):
        async with world.pool.transaction() as tx:
            await world.publishing.hold_columns(tx, "wider", ["a", "b"])


async def test_columns_that_are_held_are_not_widened(world):
    await world.value(ddl.create_table("held", [{"name": "a", "type": "int64"}]))
    async with world.pool.transaction() as tx:
        await world.publishing.hold_columns(tx, "held", ["a"])
        refused = pytest.raises(psycopg.errors.LockNotAvailable)
        with psycopg.connect(world.url, options="-c lock_timeout=50ms") as other, refused:
            other.execute(ddl.widen_column("held", "a"))


def test_merges_on_both_sides_of_a_widened_sum_copy_their_rows(stack):
    """The first merge widens the column, and the others have made binary rows of integers."""
    keys = [hashlib.sha256(b"%d" % no).hexdigest() * 2 for no in range(150_000)]
    first, big = keys[int(np.argmin(buckets([pa.array(keys)], len(keys))))], 2**63 - 1
    lines = "".join(f"{key},{big if key == first else no}\n" for no, key in enumerate([first, *keys]))
    uri = stack.write("widened-by-one.csv", "k,v\n" + lines)
    job = stack.run(
        {"source": {"uris": [uri]}, "group_by": ["k"], "aggregates": [{"fn": "sum", "column": "v"}]}
    )
    assert job["result"]["columns"][1] == {"name": "sum_v", "type": "decimal(38,0)"}
    [(merges,)] = stack.sql(
        "SELECT count(*) FROM gristmill.units WHERE job_id = %s AND kind = 'merge'", job["id"]
    )
    [(rows, total)] = stack.sql(f"SELECT count(*), sum(sum_v) FROM {job['result']['relation']}")
    assert merges > 1
    assert rows == len(keys)
    assert total == 2 * big + sum(no for no, key in enumerate(keys, 1) if key != first)
