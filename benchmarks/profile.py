"""The time of one q1 and one q3 job: by phase on the clock, by process, and by stage in the children."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.groupby import SETTINGS
from benchmarks.processes import cpu_seconds
from benchmarks.questions import QUESTIONS as ASKED
from benchmarks.stack import run_job, warm_stack
from tests.support.stack import Stack
from worker_service.executors.processes.template import child_environment

QUESTIONS = ("q1", "q3")
LEAST = 0.005


def measure(file: Path) -> dict[str, Any]:
    """Milliseconds of the second of two runs: the first warms the page cache and the children."""
    found = {}
    with warm_stack(workers=2, **SETTINGS) as stack:
        for question in QUESTIONS:
            spec = ASKED[question].spec(file)
            run_job(stack, spec)
            before = _cpu(stack)
            job = run_job(stack, spec)
            spent = {name: seconds - before[name] for name, seconds in _cpu(stack).items()}
            found[question] = {"phases": job["timing"], "processes": _milliseconds(spent)}
    for question in QUESTIONS:
        found[question]["stages"] = _stages(ASKED[question].spec(file), file)
    return found


def _cpu(stack: Stack) -> dict[str, float]:
    gateway, *workers = (psutil.Process(process.popen.pid) for process in stack.processes)
    return {
        "gateway": cpu_seconds([gateway.pid]),
        "workers' parents": sum(sum(worker.cpu_times()[:2]) for worker in workers),
        "children": sum(cpu_seconds([child.pid]) for worker in workers for child in worker.children()),
        "Postgres": _of_postgres(stack.folder),
    }


def _of_postgres(folder: Path) -> float:
    """Of the server whose data is beneath *folder*, and of its backends, those that have ended included."""
    found = 0.0
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.info["name"] == "postgres" and Path(process.cwd()).is_relative_to(folder):
                times = process.cpu_times()
                found += times.user + times.system
                above = process.parent()
                if above is None or above.name() != "postgres":
                    found += times.children_user + times.children_system
    return found


def _milliseconds(seconds: dict[str, float]) -> dict[str, float]:
    return {name: 1000 * value for name, value in seconds.items()}


def _stages(spec: dict[str, Any], file: Path) -> dict[str, dict[str, float]]:
    """Run in a process with a child's environment: the allocator's settings decide half of the time."""
    command = [sys.executable, "-m", "benchmarks.stages", json.dumps(spec), str(file)]
    ran = subprocess.run(command, env=child_environment(), check=True, capture_output=True, text=True)
    return {task: _milliseconds(stages) for task, stages in json.loads(ran.stdout).items()}


def shown(found: dict[str, Any]) -> list[str]:
    """Three tables with a column a question, without the rows below LEAST of the whole in all columns."""
    phases = {
        name: [found[q]["phases"][name] for q in QUESTIONS]
        for name in found["q1"]["phases"]
        if name.endswith("_ms")
    }
    processes = {name: [found[q]["processes"][name] for q in QUESTIONS] for name in found["q1"]["processes"]}
    steps = {
        (task, name): None
        for task in ("plan", "chunks", "merges")
        for q in QUESTIONS
        for name in found[q]["stages"][task]
    }
    stages = {
        f"{task}: {name}": [found[q]["stages"][task].get(name, 0.0) for q in QUESTIONS]
        for task, name in steps
    }
    return [
        *_table("phase, ms on the clock", phases),
        *_table("process, CPU ms", processes),
        *_table("stage in the children, CPU ms", stages),
    ]


def _table(title: str, rows: dict[str, list[float]]) -> list[str]:
    totals = [sum(column) for column in zip(*rows.values(), strict=True)]
    shown = {
        name: values
        for name, values in rows.items()
        if any(value >= LEAST * total for value, total in zip(values, totals, strict=True))
    }
    return [
        f"| {title} | {' | '.join(QUESTIONS)} |",
        "|---|" + "---|" * len(QUESTIONS),
        *(f"| {name} | {' | '.join(f'{value:.0f}' for value in values)} |" for name, values in shown.items()),
        f"| **all** | {' | '.join(f'**{total:.0f}**' for total in totals)} |",
        "",
    ]
