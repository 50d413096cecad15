"""The wait of a tenant's small job while another tenant's jobs hold both slots.

It is measured from POST to the job's start, and to its end.
"""

import gzip
import random
from collections.abc import Callable
from typing import Any

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
    tiny = parser(__doc__).parse_args().tiny
    print("\n".join(shown(measure(TINY_BYTES) if tiny else measure())))


if __name__ == "__main__":
    main()
