"""A small job of many chunks, and what pandas says of its answer."""

import asyncio
from typing import Any

import pandas as pd
import pytest

from shared.db import verify
from shared.db.pool import connect
from tests.support.stack import Stack

ROWS = 4_000
ALONE = {"max_parallel_chunks": 100}
"""Options with which each chunk is committed by itself: their leases are counted, so none joins a fold."""


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "k": [f"k{i * 7 % 97:02d}" for i in range(ROWS)],
            "n": range(-ROWS // 2, ROWS // 2),
            "x": [i / 7 for i in range(ROWS)],
        }
    )


def spec(stack: Stack, chunk_bytes: int = 24_000, *, folds: bool = False, **more: Any) -> dict[str, Any]:
    """Five chunks, if nothing else is asked for; each is committed by itself, unless the job *folds*."""
    return {
        "source": {"uris": [stack.write("plain.csv", table().to_csv(index=False))], "format": "csv"},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "n"}, {"fn": "mean", "column": "x"}, {"fn": "count"}],
        "options": {"chunk_bytes": chunk_bytes} | ({} if folds else ALONE),
        **more,
    }


def large_spec(stack: Stack, **more: Any) -> dict[str, Any]:
    """Two chunks and a group for each row, with a long text: several partials for each, in a transaction."""
    job = spec(stack, chunk_bytes=60_000, folds=True, group_by=["n"], **more)
    long = {"derive": [{"as": "long", "expr": f"concat(k, '{1000 * 'x'}')"}]}
    return job | long | {"aggregates": [*job["aggregates"], {"fn": "min", "column": "long"}]}


def folded_spec(stack: Stack, **more: Any) -> dict[str, Any]:
    """Five chunks with enough groups that their fold is open for `Timings.fold`."""
    return spec(stack, folds=True, group_by=["m"], derive=[{"as": "m", "expr": "n % 600"}], **more)


def check_rows(stack: Stack, job_id: str, key: str = "k") -> None:
    """Integers exactly; the mean within a few bits, since pandas' own is not the nearest."""
    expected = table().groupby(key).agg(n=("n", "sum"), x=("x", "mean"), rows=("n", "size"))
    found = {row[key]: row for row in stack.rows(job_id)}
    assert {k: (row["sum_n"], row["count"]) for k, row in found.items()} == {
        k: (row.n, row.rows) for k, row in expected.iterrows()
    }
    assert {k: row["mean_x"] for k, row in found.items()} == pytest.approx(expected["x"].to_dict(), rel=1e-12)


def check(stack: Stack, job_id: str, key: str = "k") -> None:
    """The job ends, once, with pandas' numbers; no row was read twice, no unit is left over."""
    job = stack.wait(job_id)
    assert job["state"] == "succeeded", job["error"]
    check_rows(stack, job_id, key)
    assert job["progress"]["rows"]["read"] == ROWS
    assert stack.sql("SELECT DISTINCT state FROM gristmill.units WHERE job_id = %s", job_id) == [("done",)]
    assert violations(stack) == []


def violations(stack: Stack) -> list[str]:
    """What `gristmill server verify` would say of the stack's database."""

    async def look() -> list[str]:
        pool = connect(stack.database_url, name="verify", size=1)
        try:
            return await verify.violations(pool, deep=True)
        finally:
            await pool.close()

    return asyncio.run(look())


def charges(stack: Stack, job_id: str) -> int:
    """How often an attempt at one of the job's units was counted against it."""
    return stack.sql(
        "SELECT sum(deaths + crashes + errors)::int FROM gristmill.units WHERE job_id = %s", job_id
    )[0][0]
