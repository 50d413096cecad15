"""`python -m tests.soak --minutes M --seed S`: jobs under fire.

Exits with 1 if anything was lost, counted twice or wrong.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.soak import figures, report
from tests.soak.cluster import Cluster
from tests.soak.findings import of_cluster, of_processes
from tests.soak.load import Load, prepared
from tests.soak.nemesis import Nemesis
from tests.soak.watch import Watch

READY_SECONDS = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of the jobs")
    parser.add_argument(
        "--time-scale", type=float, default=0.1, help="multiplies every period of the protocol"
    )
    parser.add_argument("--every", type=float, default=1.2, help="seconds between two faults, on average")
    parser.add_argument("--only", nargs="*", default=[], help="these faults and no others")
    parser.add_argument("--in-flight", type=int, default=12, help="jobs at a time")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument(
        "--patience", type=float, default=120.0, help="seconds after which a job that has not ended is lost"
    )
    parser.add_argument("--report", type=Path, help="where the report is written as JSON")
    parser.add_argument(
        "--figures",
        action="store_true",
        help="measure the recoveries at the default periods instead; about twelve minutes",
    )
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gristmill-soak-"))
    is_well = (measure if options.figures else soak)(options, folder)
    if not is_well:
        sys.exit(f"The logs are in {folder}/logs")
    shutil.rmtree(folder)


def say(text: str, document: Any, path: Path | None) -> None:
    sys.stdout.write(text)
    if path:
        path.write_text(json.dumps(document, indent=1))


def measure(options: argparse.Namespace, folder: Path) -> bool:
    cluster = Cluster(folder, workers=options.workers, gateways=options.gateways, time_scale=1.0)
    found = []
    try:
        cluster.start()
        for figure in figures.measured(cluster):
            found.append(figure)
            sys.stdout.write(f"{figure.name}: {figure.document()['p50']}, {figure.document()['p99']}\n")
            sys.stdout.flush()
    finally:
        cluster.close()
    document = {"versions": report.versions(), "figures": [figure.document() for figure in found]}
    say(figures.text(document), document, options.report)
    return all(figure.held for figure in found)


def soak(options: argparse.Namespace, folder: Path) -> bool:
    cluster = Cluster(
        folder, workers=options.workers, gateways=options.gateways, time_scale=options.time_scale
    )
    try:
        cluster.start()
        known = prepared(cluster.urls, cluster.data, READY_SECONDS)
        load = Load(
            cluster.urls, known, seed=options.seed, in_flight=options.in_flight, patience=options.patience
        )
        watch = Watch(cluster, load.spent)
        nemesis = Nemesis(cluster, watch, options.seed, options.every, options.only)
        begun = time.monotonic()
        fight(load, watch, nemesis, begun + 60 * options.minutes)
        seconds = time.monotonic() - begun
        findings = [
            *(("bug", words) for words in (*load.bugs, *load.odd)),
            *of_cluster(cluster, watch, load.lives),
        ]
    finally:
        cluster.close()
    outcome = report.Report(
        options,
        load.lives,
        load,
        nemesis,
        watch,
        cluster.nodes,
        [*findings, *of_processes(cluster.mark)],
        seconds,
    )
    say(report.text(found := outcome.document()), found, options.report)
    return not outcome.findings


def fight(load: Load, watch: Watch, nemesis: Nemesis, end: float) -> None:
    """Inject faults until *end*; then every job has its patience to end without faults."""
    watch.start()
    load.start()
    nemesis.rage(lambda: time.monotonic() > end)
    load.stop()
    while load.is_alive():
        nemesis.revive()
        load.join(0.1)
    watch.stop()


if __name__ == "__main__":
    main()
