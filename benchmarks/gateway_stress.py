"""The time of a submit while a crowd of clients is at the gateway, and the memory that the crowd costs."""

import asyncio
import statistics
import time

import psutil

from benchmarks.options import parser
from benchmarks.stack import warm_stack
from tests.support.crowd import CROWDS, Crowd, submits

SUBMITS = 200


def spec(stack) -> dict:
    return {
        "source": {"uris": [f"file://{stack.data}/a.csv"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }


def show(what: str, times: list[float], gateway: psutil.Process, rest: str = "") -> None:
    times = sorted(times)
    p50, p99 = statistics.median(times) * 1000, times[len(times) * 99 // 100] * 1000
    memory = gateway.memory_info().rss / 1e6
    print(
        f"{what:24} submit p50 {p50:6.1f} ms   p99 {p99:7.1f} ms"
        f"   resident {memory:5.0f} MB   files {gateway.num_fds():5}{rest}",
        flush=True,
    )


async def measure(stack, share: float, count: int) -> None:
    gateway = psutil.Process(stack.processes[0].popen.pid)
    job_id = stack.submit(spec(stack))["id"]
    show("alone", await submits(stack, spec(stack), count), gateway)
    for kind, number in CROWDS.items():
        size = max(1, int(number * share))
        async with Crowd(stack, job_id) as crowd:
            started, busy = time.monotonic(), sum(gateway.cpu_times()[:2])
            await crowd.gather(kind, size)
            times = await submits(stack, spec(stack), count)
            await crowd.gone()
            seconds, busy = time.monotonic() - started, sum(gateway.cpu_times()[:2]) - busy
            show(f"{size} {kind}", times, gateway, f"   {busy:.1f} of {seconds:.1f} s of a core")
    show("alone again", await submits(stack, spec(stack), count), gateway)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--share", type=float, default=1.0, help="of the crowds (default 1)")
    asked = options.parse_args()
    share, count = (0.01, 2) if asked.tiny else (asked.share, SUBMITS)
    with warm_stack(workers=0) as stack:
        asyncio.run(measure(stack, share, count))


if __name__ == "__main__":
    main()
