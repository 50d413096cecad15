"""The constants of docs/operations.md, "Sizing": bytes of disk and of memory for each group and job.

Each job has a database of its own server, so the growth of a relation is its need. Tables are measured with
pg_table_size and pg_indexes_size, states by the growth of gristmill.partials, memory as PSS of the worker.
"""

import random
from typing import Any

from benchmarks.options import parser
from benchmarks.processes import peak_memory, pss_mb
from benchmarks.stack import run_job, warm_stack
from tests.support.stack import Stack

GROUPS, JOBS, SMALL_CHUNKS = 100_000, 50, 300
CHUNKS = 4
QUESTIONS: dict[str, tuple[list[str], list[dict[str, Any]]]] = {
    "int64 key; count": (["number"], [{"fn": "count"}]),
    "int64 key; count, sum, mean, max": (
        ["number"],
        [{"fn": "count"}, *({"fn": fn, "column": "value"} for fn in ("sum", "mean", "max"))],
    ),
    "12-letter key; count": (["name"], [{"fn": "count"}]),
    "int64 key; median": (["number"], [{"fn": "median", "column": "value"}]),
}
"""Keys and aggregates."""


def data(stack: Stack, groups: int) -> str:
    """Each group once in each chunk, in an order of its own."""
    chance = random.Random(17)
    lines = ["number,name,value"]
    for _ in range(CHUNKS):
        numbers = list(range(groups))
        chance.shuffle(numbers)
        lines += [f"{n},name{n:08d},{chance.random():.4f}" for n in numbers]
    return stack.write("sizing.csv", "\n".join(lines) + "\n")


def measure(*, tiny: bool = False) -> dict[str, Any]:
    """Bytes for each group, or for each job."""
    groups, jobs, chunks = (1_000, 2, 10) if tiny else (GROUPS, JOBS, SMALL_CHUNKS)
    return {
        "groups": groups,
        "of groups": {name: _of_groups(groups, *question) for name, question in QUESTIONS.items()},
        **_of_jobs(jobs, chunks),
    }


def _of_groups(groups: int, keys: list[str], aggregates: list[dict[str, Any]]) -> dict[str, float]:
    with warm_stack() as stack:
        uri, worker = data(stack, groups), [stack.processes[1].popen.pid]
        size = (stack.data / "sizing.csv").stat().st_size
        idle = pss_mb(worker)
        spec = {
            "source": {"uris": [uri], "format": "csv"},
            "group_by": keys,
            "aggregates": aggregates,
            # A bound of chunks, so that no slot commits several of them together.
            "options": {"chunk_bytes": size // CHUNKS + 1, "max_parallel_chunks": 2},
        }
        [(start,)] = stack.sql("SELECT pg_current_wal_lsn()")
        with peak_memory(worker) as peak:
            job = run_job(stack, spec)
        assert job["result"]["rows"] == groups
        table = f"'gristmill_results.{job['id']}'"
        [(rows, indexes, states, log)] = stack.sql(
            f"SELECT pg_table_size({table}), pg_indexes_size({table}),"
            f" pg_total_relation_size('gristmill.partials'), pg_current_wal_lsn() - '{start}'::pg_lsn"
        )
        return {
            "rows": rows / groups,
            "indexes": indexes / groups,
            "states of a chunk": states / groups / CHUNKS,
            "log": float(log) / groups,
            "memory": (peak.mb - idle) * 1e6 / groups,
            "idle MB": idle,
        }


def _of_jobs(jobs: int, chunks: int) -> dict[str, float]:
    """Postgres' disk for a job of one row and one chunk, with its result, and for each further chunk."""
    size = "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relkind = 'r'"
    with warm_stack() as stack:
        uri = stack.write("small.csv", "k\n" + "a\n" * chunks)
        spec = {"source": {"uris": [uri]}, "group_by": ["k"], "aggregates": [{"fn": "count"}]}
        run_job(stack, spec)
        before = stack.sql(size)[0][0]
        for _ in range(jobs):
            run_job(stack, spec)
        each = float(stack.sql(size)[0][0] - before) / jobs
        before = stack.sql(size)[0][0]
        run_job(stack, spec | {"options": {"chunk_bytes": 2, "max_parallel_chunks": 2}})
        return {
            "of a small job": each,
            "of a chunk": (float(stack.sql(size)[0][0] - before) - each) / (chunks - 1),
        }


def shown(figures: dict[str, Any]) -> list[str]:
    head = ["rows", "indexes", "states of a chunk", "log", "memory", "idle MB"]
    lines = [
        f"bytes for each of {figures['groups']:,} groups:",
        f"| question | {' | '.join(head)} |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, of in figures["of groups"].items():
        lines.append(f"| {name} | {' | '.join(f'{of[each]:.0f}' for each in head)} |")
    job, chunk = (figures[name] / 1000 for name in ("of a small job", "of a chunk"))
    return [*lines, f"A small job takes {job:.0f} kB, each further chunk {chunk:.1f} kB."]


if __name__ == "__main__":
    print("\n".join(shown(measure(tiny=parser(__doc__).parse_args().tiny))))
