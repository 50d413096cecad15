"""The wait of a tenant's small job while another tenant's jobs hold both slots.

It is measured from POST to the job's start, and to its end. `--flood` measures it again and again, while the
other tenant submits jobs, asks for plans, uploads and downloads, all at once.
"""

import gzip
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx2

from api_service.auth.credentials import digest, new_key
from benchmarks.options import parser
from benchmarks.stack import warm_stack
from tests.support.stack import Stack, eventually

BAR_SECONDS = 20
PATIENCE = 120.0
HOSTILE_BYTES = 1_500_000_000
TINY_BYTES = 100_000
"""Of one job's text, which no slot can read within PATIENCE.

It is a single chunk, because nothing can be skipped inside a gzip file.
"""


def rows(size: int) -> bytes:
    """A gzip file of *size* bytes of text: one member of 8 MB, repeated, so that making it is quick."""
    chance = random.Random(3)
    block = "".join(f"key{chance.randrange(1000)},{chance.random()}\n" for _ in range(300_000)).encode()
    return gzip.compress(b"k,v\n", 1) + gzip.compress(block, 1) * max(1, size // len(block))


def comments(size: int) -> bytes:
    """Nothing but comment lines before the header; a twentieth of *size*, which once took a plan minutes."""
    noise = random.Random(5).randbytes(max(1, size // 52)).hex()
    return gzip.compress(
        ("".join(f"# {noise[at : at + 100]}\n" for at in range(0, len(noise), 100)) + "k,v\na,1\n").encode(),
        1,
    )


HELD = """
SELECT count(*) FILTER (WHERE u.state = 'leased' AND u.leased_at < now() - interval '2 seconds') = 2
    OR bool_or(j.finished_at IS NOT NULL)
FROM gristmill.units u JOIN gristmill.jobs j ON j.id = u.job_id WHERE j.id = ANY (%s)
"""
HOSTILE: dict[str, Callable[[int], bytes]] = {
    "two planned files of comment lines": comments,
    "two long chunks": rows,
}


def measure(size: int = HOSTILE_BYTES, patience: float = PATIENCE) -> dict[str, dict[str, float | None]]:
    """Seconds until the small job had started and ended, None if it had not within *patience*."""
    return {name: _beside(make(size), patience) for name, make in HOSTILE.items()}


def _beside(data: bytes, patience: float) -> dict[str, float | None]:
    with warm_stack() as stack:
        hostile, neighbour = (_key(stack, tenant) for tenant in ("hostile", "neighbour"))
        stack.http.headers["Authorization"] = f"Bearer {neighbour}"
        stack.run(_spec(stack.write("before.csv", "k,v\na,1\n")))
        uris = [stack.write(f"{no}.csv.gz", data) for no in range(2)]
        taken = [
            stack.submit(_spec(uri, comment="#"), Authorization=f"Bearer {hostile}")["id"] for uri in uris
        ]
        eventually(
            lambda: stack.sql(HELD, taken)[0][0],
            "two slots that are held, or the end of what should hold them",
        )
        small = stack.submit(_spec(stack.write("small.csv", "k,v\na,1\n")))["id"]
        try:
            stack.wait(small, patience)
        except AssertionError:
            for process in stack.processes:
                process.kill()
        times = (
            "SELECT extract(epoch FROM started_at - created_at), extract(epoch FROM finished_at - created_at)"
            " FROM gristmill.jobs WHERE id = %s"
        )
        started, ended = stack.sql(times, small)[0]
        return {"started": _number(started), "ended": _number(ended)}


FLOOD_TRIES, TINY_TRIES = 50, 2
UPLOAD_BYTES, READ_ROWS = 8_000_000, 50_000
WAIT = {"Prefer": "wait=2"}
THREADS = {"jobs": 2, "plans": 2, "uploads": 2, "downloads": 4}
"""How many clients of the hostile tenant do each thing, without a pause."""


def flooded(tries: int = FLOOD_TRIES, size: int = HOSTILE_BYTES) -> dict[str, Any]:
    """Seconds from POST to the start, and to the end, of each of *tries* small jobs, one after the other.

    `asked` counts the answers that the hostile tenant got, by what it asked for and their status.
    """
    asked: Counter[tuple[str, int]] = Counter()
    with warm_stack() as stack, ExitStack() as ending:
        hostile, neighbour = (_key(stack, tenant) for tenant in ("hostile", "neighbour"))
        stack.http.headers["Authorization"] = f"Bearer {hostile}"
        text = "k,v\n" + "".join(f"{n},1\n" for n in range(READ_ROWS))
        read = stack.run(_spec(stack.write("read.csv", text)))
        uris = [stack.write("long.csv.gz", rows(size)), stack.write("plan.csv.gz", comments(size))]
        ask = {
            "jobs": lambda http: http.post("/v1/jobs", json=_spec(random.choice(uris), comment="#")),
            "plans": lambda http: http.post(
                "/v1/plans", json=_spec(random.choice(uris), comment="#"), headers=WAIT
            ),
            "uploads": _upload,
            "downloads": lambda http: http.get(f"/v1/jobs/{read['id']}/rows?format=csv"),
        }
        stop = threading.Event()
        clients = [
            threading.Thread(target=_flood, args=(stack, hostile, name, ask[name], stop, asked))
            for name, count in THREADS.items()
            for _ in range(count)
        ]
        for client in clients:
            client.start()
            ending.callback(client.join)
        ending.callback(stop.set)
        stack.http.headers["Authorization"] = f"Bearer {neighbour}"
        times = [_try(stack, no) for no in range(tries)]
    return {
        "started": [started for started, _ in times],
        "ended": [ended for _, ended in times],
        "asked": {f"{name} {status}": count for (name, status), count in sorted(asked.items())},
    }


def _upload(http: httpx2.Client) -> httpx2.Response:
    """One that is deleted at once: the disk of the machine is not measured."""
    stored = http.post("/v1/uploads", content=bytes(UPLOAD_BYTES))
    if stored.status_code == httpx2.codes.CREATED:
        http.delete(f"/v1/uploads/{stored.json()['id']}")
    return stored


def _flood(
    stack: Stack,
    key: str,
    name: str,
    ask: Callable[[httpx2.Client], httpx2.Response],
    stop: threading.Event,
    asked: Counter[tuple[str, int]],
) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=stack.http.base_url, headers=headers, timeout=60) as http:
        while not stop.is_set():
            asked[name, ask(http).status_code] += 1


def _try(stack: Stack, no: int) -> tuple[float, float]:
    uri, posted = stack.write(f"small{no}.csv", "k,v\na,1\n"), time.time()
    job = stack.wait(stack.submit(_spec(uri))["id"], PATIENCE)
    assert job["state"] == "succeeded", job["error"]
    [times] = stack.sql(
        "SELECT extract(epoch FROM started_at), extract(epoch FROM finished_at) FROM gristmill.jobs"
        " WHERE id = %s",
        job["id"],
    )
    return float(times[0]) - posted, float(times[1]) - posted


def shown_flood(figures: dict[str, Any]) -> list[str]:
    def percentile(values: list[float], percent: int) -> float:
        return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]

    lines = [
        f"A neighbour's small job, while a tenant floods all else (bar: started within {BAR_SECONDS} s)",
        f"| {len(figures['started'])} tries | p50, s | p99, s | most, s |",
        "|---|---|---|---|",
    ]
    for event in ("started", "ended"):
        values = figures[event]
        cells = (percentile(values, 50), percentile(values, 99), max(values))
        lines.append(f"| {event} after | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    return [*lines, f"Answers to the flood: {figures['asked']}"]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _key(stack: Stack, tenant: str) -> str:
    key = new_key()
    stack.sql(
        "INSERT INTO gristmill.api_keys (id, tenant, name, sha256) VALUES (%s, %s, %s, %s)",
        tenant,
        tenant,
        tenant,
        digest(key),
    )
    return key


def _spec(uri: str, **csv: str) -> dict[str, Any]:
    return {
        "source": {"uris": [uri], "format": "csv", "csv": csv},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}],
    }


def shown(figures: dict[str, dict[str, float | None]]) -> list[str]:
    def seconds(value: float | None) -> str:
        return f"{value:.1f}" if value is not None else f"more than {PATIENCE:.0f}"

    return [
        (
            "| one tenant holds both slots with"
            f" | a neighbour's small job starts after, s (bar {BAR_SECONDS}) | ends after, s |"
        ),
        "|---|---|---|",
        *(
            f"| {name} | {seconds(found['started'])} | {seconds(found['ended'])} |"
            for name, found in figures.items()
        ),
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--flood", action="store_true", help="while a tenant floods the service")
    options.add_argument("--tries", type=int, default=FLOOD_TRIES, help="small jobs beside the flood")
    given = options.parse_args()
    if given.flood or given.tiny:
        tries, size = (TINY_TRIES, TINY_BYTES) if given.tiny else (given.tries, HOSTILE_BYTES)
        print("\n".join(shown_flood(flooded(tries, size))))
    if not given.flood:
        print("\n".join(shown(measure(TINY_BYTES) if given.tiny else measure())))


if __name__ == "__main__":
    main()
