"""CPU that all worker processes together spend on one unit, with 2 and with 20 of them.

Each has one slot, and its kernel sleeps.
"""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import no_kernel
from benchmarks.options import parser
from benchmarks.stack import run_job, start_no_kernel, warm_stack
from tests.support.stack import Process, Stack

RUNS = 2
BAR = 1.2


@dataclass(frozen=True)
class Size:
    """`units` of a job, the `seconds` of each, and how many processes are `many`."""

    units: int
    seconds: float
    idle_seconds: float
    few: int
    many: int


FULL = Size(units=400, seconds=0.2, idle_seconds=10, few=2, many=20)
TINY = Size(units=8, seconds=0.01, idle_seconds=0.1, few=1, many=2)


def cpu_ms(processes: list[Process]) -> float:
    """On-CPU time of every thread, by the scheduler's own nanosecond clock."""
    threads = [
        path for process in processes for path in Path(f"/proc/{process.popen.pid}/task").glob("*/schedstat")
    ]
    return sum(int(path.read_text().split()[0]) for path in threads) / 1e6


def per_unit(stack: Stack, workers: list[Process], uri: str, units: int) -> tuple[float, float]:
    """CPU milliseconds per unit of one job, and its seconds."""
    before, start = cpu_ms(workers), time.perf_counter()
    run_job(stack, no_kernel.spec(uri))
    return (cpu_ms(workers) - before) / units, time.perf_counter() - start


def measure(count: int, size: Size) -> float:
    with warm_stack(workers=0) as stack:
        uri = stack.write("units", b"k" * size.units)
        workers = start_no_kernel(stack, count, 1, size.seconds)
        per_unit(stack, workers, uri, size.units)
        runs = [per_unit(stack, workers, uri, size.units) for _ in range(RUNS)]
        before = cpu_ms(workers)
        time.sleep(size.idle_seconds)
        idle = (cpu_ms(workers) - before) / count / size.idle_seconds / 10
        took = statistics.median(seconds for _, seconds in runs)
        figure = statistics.median(cost for cost, _ in runs)
        shown = "  ".join(f"{cost:.2f}" for cost, _ in runs)
        print(
            f"{count:2} processes: {figure:.2f} CPU ms per unit ({shown}), {took:.1f} s a job,"
            f" idle {idle:.2f}% of a core each"
        )
        return figure


def main() -> None:
    size = TINY if parser(__doc__).parse_args().tiny else FULL
    print(f"jobs of {size.units} chunks, each sleeps {size.seconds} s, one slot a process")
    few, many = measure(size.few, size), measure(size.many, size)
    print(f"{size.many} processes against {size.few}: {many / few:.2f} times the CPU per unit; bar {BAR}")


if __name__ == "__main__":
    main()
