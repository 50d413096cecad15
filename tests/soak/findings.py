"""The checks after a soak: of the ledger, the logs and the process table, beside each job's own documents."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.soak.cluster import Cluster
from tests.soak.life import Life
from tests.soak.watch import Watch, broken, members

BUGS = {
    "unit.bug",
    "child.bug",
    "slot.failed",
    "loop.bug",
    "worker.loop_ended",
    "worker.stuck",
    "gateway.stuck",
    "request.bug",
}
MOST_REDIS_KEYS = 100
"""Three messages, for three slots, each with at most three keys of arq; the rest is room for replacements."""

Finding = tuple[str, str]
"""Kind and text; the kinds are those of `KINDS`."""
KINDS = {
    "lost": "lost jobs",
    "twice": "counted or made twice",
    "wrong": "wrong bits",
    "state": "ended otherwise than it should",
    "ledger": "broken invariants of the database",
    "leak": "leaks: orphans, keys in Redis",
    "bug": "bugs in logs, odd answers, services that ended on their own",
}


def of_cluster(cluster: Cluster, watch: Watch, lives: list[Life]) -> Iterator[Finding]:
    """Checks while it still runs, and all jobs have ended."""
    yield from ((kind, words) for life in lives for kind, words in life.wrong)
    yield from (("ledger", f"in the middle: {words}") for words in watch.broken)
    try:
        with psycopg.connect(cluster.postgres.url) as connection:
            yield from of_keys(connection, lives)
            yield from of_names(connection)
        yield from (("ledger", words) for words in asyncio.run(broken(cluster.postgres.url, deep=True)))
    except psycopg.OperationalError as error:
        yield "ledger", f"Postgres could not be read at the end: {error}"
    yield from (("leak", f"child process {pid} outlived its worker") for pid in watch.orphans)
    if (most := max(watch.samples["Redis keys"], default=0)) > MOST_REDIS_KEYS:
        yield "leak", f"{most:.0f} keys in Redis"
    yield from (
        ("bug", f"{node.name} ended by itself: {end}")
        for node in cluster.nodes
        for end in node.unexpected_ends
    )
    yield from of_logs(cluster.folder / "logs")


def of_keys(connection: psycopg.Connection, lives: list[Life]) -> Iterator[Finding]:
    """Every accepted job has a row, unless it was deleted; a key has one job at most.

    No row is without a key that was sent.
    """
    rows = dict(
        connection.execute(
            "SELECT id, idempotency_key FROM gristmill.jobs WHERE idempotency_key LIKE 'soak-%'"
        )
    )
    sent = {life.key: life for life in lives}
    yield from (
        ("lost", f"{life.job_id} was accepted and has no row")
        for life in lives
        if life.job_id and not (life.aged or life.deleted) and life.job_id not in rows
    )
    for job_id, key in rows.items():
        if key in sent and sent[key].deleted:
            yield "ledger", f"{job_id} was deleted and is there"
        elif key not in sent:
            yield "twice", f"{job_id} has the key {key}, which no client sent"
        elif job_id != sent[key].job_id:
            yield "twice", f"{job_id} has the key {key} of {sent[key].job_id}"


def of_names(connection: psycopg.Connection) -> Iterator[Finding]:
    """A name shows the newest version of those that succeeded."""
    newest = connection.execute(
        "SELECT r.name, r.current, max(j.version) FROM gristmill.results r JOIN gristmill.jobs j"
        " ON j.result_name = r.name AND j.tenant = r.tenant AND j.state = 'succeeded'"
        " GROUP BY r.name, r.current"
    )
    yield from (
        ("wrong", f"{name} shows version {shown}, not {last}")
        for name, shown, last in newest
        if shown != last
    )


def of_logs(folder: Path) -> Iterator[Finding]:
    for log in sorted(folder.glob("*.log")):
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("Traceback") or (
                line.startswith("{") and json.loads(line).get("event") in BUGS
            ):
                yield "bug", f"{log.name}: {line[:2000]}"


def of_processes(mark: int) -> Iterator[Finding]:
    """Checks after every process was told to end."""
    yield from (("leak", f"child process {pid} is still there") for pid, _ in members(mark))
