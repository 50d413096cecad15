"""CPU of an idle worker: its parent and children, beside the gateway, over a while without any job."""

import time

from benchmarks.options import parser
from benchmarks.processes import cpu_seconds
from benchmarks.stack import warm_stack

SECONDS = 20.0
BAR_PERCENT = 1.0


def measure(*, tiny: bool = False) -> dict[str, float]:
    """Percent of one core, with default settings and two slots."""
    with warm_stack() as stack:
        gateway, worker = (process.popen.pid for process in stack.processes[:2])
        stack.run(
            {
                "source": {"uris": [stack.write("one.csv", "k\na\n")], "format": "csv"},
                "group_by": ["k"],
                "aggregates": [{"fn": "count"}],
            }
        )
        before, start = (cpu_seconds([gateway]), cpu_seconds([worker])), time.perf_counter()
        time.sleep(0.1 if tiny else SECONDS)
        spent = time.perf_counter() - start
        return {
            "seconds": spent,
            "gateway_percent": 100 * (cpu_seconds([gateway]) - before[0]) / spent,
            "worker_percent": 100 * (cpu_seconds([worker]) - before[1]) / spent,
        }


def shown(figures: dict[str, float]) -> list[str]:
    return [
        "| idle process | percent of one core |",
        "|---|---|",
        (
            f"| worker of two slots, with its children (bar {BAR_PERCENT:.0f})"
            f" | {figures['worker_percent']:.2f} |"
        ),
        f"| gateway | {figures['gateway_percent']:.2f} |",
    ]


if __name__ == "__main__":
    print("\n".join(shown(measure(tiny=parser(__doc__).parse_args().tiny))))
