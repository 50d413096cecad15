"""The cost of the protocol itself, and the wait of a tenant behind a flood of another's jobs.

Parents, Postgres and Valkey are real; the slots answer at once.
"""

import asyncio
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import psutil

from benchmarks import no_kernel
from benchmarks.options import parser
from benchmarks.stack import start_no_kernel, warm_stack
from shared.db.jobs import JobStore
from shared.db.pool import connect
from shared.doorbell import Doorbell, redis_pool
from shared.spec.digests import canonical_json
from shared.spec.parse import parse_spec
from shared.spec.version import STATE_VERSION
from tests.support.stack import Stack


@dataclass(frozen=True)
class Size:
    """The size of a run.

    *workers* are processes and slots of each, *units* those of the large job, *flood* the number of jobs in
    the flood, *visits* the number of jobs behind them; the last is the seconds of a flooding chunk.
    """

    workers: tuple[tuple[int, int], ...]
    units: int
    small_jobs: int
    flood: int
    visits: int
    chunk_seconds: float


FULL = Size(workers=((1, 1), (2, 2)), units=4000, small_jobs=200, flood=10_000, visits=15, chunk_seconds=0.2)
TINY = Size(workers=((1, 2),), units=8, small_jobs=2, flood=8, visits=1, chunk_seconds=0.01)
UNITS_BAR, OVERHEAD_BAR, DELAY_BAR = 500, 3.0, 0.2


def work(stack: Stack, processes: int, slots: int, seconds: float = 0.0) -> None:
    """Start workers whose chunks take *seconds*, and let them run a job once."""
    start_no_kernel(stack, processes, slots, seconds)
    asyncio.run(one_job(stack, 50))


def cpu_seconds() -> dict[str, float]:
    """CPU seconds of this benchmark's workers, Postgres and Valkey, their ended children included."""
    spent = {"python": 0.0, "postgres": 0.0, "valkey": 0.0}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            name = process.name().partition("-")[0].rstrip("0123456789.")
            if name in spent:
                spent[name] += sum(process.cpu_times()[:4])
    return spent


class Tenants:
    """Submits for any tenant, as the gateway does."""

    def __init__(self, stack: Stack) -> None:
        self.pool = connect(stack.database_url, name="benchmark", size=4)
        self.jobs, self.doorbell = JobStore(self.pool), Doorbell(redis_pool(stack.env["GRISTMILL_REDIS_URL"]))

    async def submit(self, tenant: str, spec: dict[str, Any], priority: int = 5) -> str:
        parsed = parse_spec(msgspec.json.encode(spec))
        body, known = (
            msgspec.json.decode(canonical_json(parsed)),
            {
                "idempotency_key": None,
                "labels": {},
                "result_name": None,
                "kept_versions": 1,
                "uploads": [],
                "deadline": None,
            },
        )
        job, _ = await self.jobs.submit(
            tenant, body, "sha256:0", priority=priority, state_version=STATE_VERSION, **known
        )
        return job.id

    async def value(self, sql: str, *arguments: Any) -> Any:
        async with self.pool.connection() as connection:
            return await connection.fetchval(sql, *arguments)

    async def ended(self, sql: str, *arguments: Any) -> None:
        while not await self.value(sql, *arguments):  # noqa: ASYNC110  # Postgres has no event to wait for
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        await asyncio.gather(self.pool.close(), self.doorbell.close())


async def one_job(stack: Stack, chunks: int) -> float:
    """Seconds from the first chunk's lease to the last one's commit."""
    tenants = Tenants(stack)
    job = await tenants.submit("default", no_kernel.spec(stack.write(f"units-{chunks}", b"k" * chunks)))
    await tenants.doorbell.request_dispatch()
    await tenants.ended("SELECT finished_at IS NOT NULL FROM gristmill.jobs WHERE id = $1", job)
    span = await tenants.value(
        "SELECT max(finished_at) - min(leased_at) FROM gristmill.units WHERE job_id = $1 AND kind = 'chunk'",
        job,
    )
    await tenants.close()
    return span.total_seconds()


async def small_jobs(stack: Stack, count: int) -> float:
    """Seconds for many jobs of one chunk each, submitted beforehand."""
    tenants, spec = Tenants(stack), no_kernel.spec(stack.write("tiny", b"k"))
    for _ in range(count):
        await tenants.submit("default", spec)
    start = time.perf_counter()
    await tenants.doorbell.request_dispatch()
    await tenants.ended("SELECT NOT EXISTS (SELECT FROM gristmill.jobs WHERE finished_at IS NULL)")
    await tenants.close()
    return time.perf_counter() - start


def costs(name: str, units: int, before: dict[str, float], seconds: float) -> dict[str, Any]:
    spent = {part: (after - before[part]) * 1000 / units for part, after in cpu_seconds().items()}
    return {"jobs": name, "units_per_s": units / seconds, "cpu_ms": spent}


def throughput(processes: int, slots: int, size: Size) -> list[dict[str, Any]]:
    workers = f"{processes} x {slots}"
    with warm_stack(workers=0) as stack:
        work(stack, processes, slots)
        before = cpu_seconds()
        seconds = asyncio.run(one_job(stack, size.units))
        large = costs(f"one job of {size.units:,} chunks", size.units, before, seconds)
        large["slot_ms"] = seconds * 1000 * processes * slots / size.units
        before = cpu_seconds()
        seconds = asyncio.run(small_jobs(stack, size.small_jobs))
        many = costs(f"{size.small_jobs} jobs of one chunk", size.small_jobs * 4, before, seconds)
        return [{"workers": workers, **found} for found in (large, many)]


async def start_delays(stack: Stack, tenants: Tenants, visits: int) -> list[float]:
    """Seconds from a submit to the lease of the plan, for one job after the other."""
    spec, delays = no_kernel.spec(stack.write("visit", b"k")), []
    for _ in range(visits):
        job = await tenants.submit("visitor", spec)
        await tenants.doorbell.request_dispatch()
        await tenants.ended("SELECT finished_at IS NOT NULL FROM gristmill.jobs WHERE id = $1", job)
        delay = await tenants.value("SELECT started_at - created_at FROM gristmill.jobs WHERE id = $1", job)
        delays.append(delay.total_seconds())
    return delays


async def flood(stack: Stack, size: Size) -> dict[str, Any]:
    """Milliseconds: a start on an idle stack, how much later it is behind the flood, and a unit's p95."""
    tenants, spec = Tenants(stack), no_kernel.spec(stack.write("flood", b"kkkk"))
    idle = await start_delays(stack, tenants, size.visits)
    template = await tenants.submit("flood", spec)
    await tenants.value(
        "WITH made AS (INSERT INTO gristmill.jobs (id, tenant, spec, spec_digest)"
        "    SELECT 'job_flood' || n, 'flood', spec, spec_digest"
        "    FROM gristmill.jobs, generate_series(1, $2) n WHERE id = $1 RETURNING id)"
        "INSERT INTO gristmill.units (job_id, kind, no, epoch, state_version)"
        " SELECT id, 'plan', 0, 1, 1 FROM made",
        *(template, size.flood),
    )
    await tenants.doorbell.request_dispatch()
    await tenants.ended("SELECT count(*) > 4 FROM gristmill.units WHERE kind = 'chunk' AND state = 'done'")
    delays = await start_delays(stack, tenants, size.visits)
    p95 = await tenants.value(
        "SELECT extract(epoch FROM"
        " percentile_cont(0.95) WITHIN GROUP (ORDER BY finished_at - leased_at))::float8"
        " FROM gristmill.units WHERE state = 'done'"
    )
    waiting = await tenants.value("SELECT count(*) FROM gristmill.jobs WHERE state = 'queued'")
    await tenants.close()
    typical = statistics.median(idle)
    return {
        "waiting": waiting,
        "idle_ms": 1000 * typical,
        "later_ms": 1000 * (statistics.median(delays) - typical),
        "most_ms": 1000 * (max(delays) - typical),
        "unit_p95_ms": 1000 * p95,
    }


def measure(size: Size = FULL) -> dict[str, Any]:
    units = [found for workers in size.workers for found in throughput(*workers, size)]
    with warm_stack(workers=0) as stack:
        work(stack, 1, 2, size.chunk_seconds)
        return {"units": units, "flood": asyncio.run(flood(stack, size))}


def shown(figures: dict[str, Any]) -> list[str]:
    slot_ms = f"ms of a slot's time a unit (bar {OVERHEAD_BAR:.0f})"
    cpu_ms = "CPU ms a unit | of which Python, Postgres, Valkey"
    lines = [
        f"| jobs | workers x slots | units/s (bar {UNITS_BAR}) | {cpu_ms} | {slot_ms} |",
        "|---|---|---|---|---|---|",
    ]
    for found in figures["units"]:
        spent = found["cpu_ms"]
        slot = f"{found['slot_ms']:.2f}" if "slot_ms" in found else ""
        lines.append(
            f"| {found['jobs']} | {found['workers']} | {found['units_per_s']:.0f} "
            f"| {sum(spent.values()):.2f} | {', '.join(f'{cost:.2f}' for cost in spent.values())} | {slot} |"
        )
    wait = figures["flood"]
    bar = wait["unit_p95_ms"] + 1000 * DELAY_BAR
    return [
        *lines,
        "",
        "| start on an idle stack, ms | jobs of another tenant before it | later by, ms | at most | bar |",
        "|---|---|---|---|---|",
        "| {idle_ms:.0f} | {waiting:,} | {later_ms:.0f} | {most_ms:.0f} | {bar:.0f} |".format(
            **wait, bar=bar
        ),
    ]


def main() -> None:
    print("\n".join(shown(measure(TINY if parser(__doc__).parse_args().tiny else FULL))))


if __name__ == "__main__":
    main()
