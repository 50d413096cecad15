"""A CSV file whose cuts are guessed wrong.

A quoted field in the middle is full of lines that look like records, and no quote is near them.
"""

from typing import Any

from tests.support.stack import Stack

CHUNK_BYTES = 8 << 20
KEYS = 10


def rows() -> list[tuple[str, int, str]]:
    """17 MB of them, so that cuts are guessed at all; the lines around the first cut are all in one field."""
    plain = [(f"k{i % KEYS}", i, "x" * 1000) for i in range(16_800)]
    at = (CHUNK_BYTES - (128 << 10)) // 1010
    return [*plain[:at], ("k0", 0, "k1,1000000,y\n" * 20_000), *plain[at:]]


def text() -> str:
    return "k,v,pad\n" + "".join(
        f'{k},{v},"{pad}"\n' if "\n" in pad else f"{k},{v},{pad}\n" for k, v, pad in rows()
    )


def spec(stack: Stack, **more: Any) -> dict[str, Any]:
    return {
        "source": {"uris": [stack.write("trap.csv", text())], "format": "csv"},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}, {"fn": "count"}],
        "options": {"chunk_bytes": CHUNK_BYTES},
        **more,
    }


def check(stack: Stack, job_id: str) -> None:
    """The sums are those of the records, and the job was planned twice."""
    found = {row["k"]: (row["sum_v"], row["count"]) for row in stack.rows(job_id)}
    every = rows()
    assert found == {
        f"k{n}": (sum(v for k, v, _ in every if k == f"k{n}"), sum(k == f"k{n}" for k, _, _ in every))
        for n in range(KEYS)
    }
    assert stack.sql("SELECT epoch FROM gristmill.jobs WHERE id = %s", job_id) == [(2,)]
    assert stack.sql(
        "SELECT attempt, payload FROM gristmill.units WHERE job_id = %s AND kind = 'plan'", job_id
    ) == [(2, {"prove": True})]
