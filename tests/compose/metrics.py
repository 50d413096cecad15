"""`/metrics` in containers, with the settings that docs/observability.md shows."""

import re
from collections import Counter
from pathlib import Path

from tests.compose.client import Answer, Client
from tests.compose.engine import ROOT, Compose, eventually

_SCRAPE = """
import socket, sys, urllib.request
service, port = sys.argv[1], 9108
for *_, (address, _) in socket.getaddrinfo(service, port, socket.AF_INET, socket.SOCK_STREAM):
    print(urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=10).read().decode())
"""
"""As a Prometheus of the same network: the name of a service gives the addresses of its containers."""


def write_override(path: Path) -> Path:
    page = (ROOT / "docs" / "observability.md").read_text()
    (block,) = re.findall(r"^```yaml\n(services:.*?)^```", page, re.MULTILINE | re.DOTALL)
    path.write_text(block)
    return path


def scraped(compose: Compose, service: str) -> Counter[str]:
    """Figures by series, added up over the containers of a service."""
    told = compose("exec", "-T", "api", "python3", "-c", _SCRAPE, service)
    found: Counter[str] = Counter()
    for line in told.splitlines():
        if line and not line.startswith("#"):
            series, _, figure = line.rpartition(" ")
            found[series] += float(figure)
    return found


def check_metrics(compose: Compose, uri: str, expected: Answer) -> None:
    """A job of three workers is counted once, and the gateway sees all parts.

    Not after a fault: a commit whose answer was lost is counted when its worker has asked again.
    """
    client = Client(compose)
    units, jobs = 'gristmill_units_total{kind="chunk",outcome="done"}', "gristmill_jobs_submitted_total"
    submitted = f'{jobs}{{kind="job"}}'
    before = scraped(compose, "worker")[units], scraped(compose, "api")[submitted]
    job = client.submit(uri)
    assert client.answer(job) == expected
    chunks = client.job(job)["progress"]["chunks"]["done"]
    eventually(lambda: scraped(compose, "worker")[units] - before[0] >= chunks, "the count of the chunks")
    assert scraped(compose, "worker")[units] - before[0] == chunks
    seen = scraped(compose, "api")
    assert seen[submitted] - before[1] == 1, seen
    assert seen["gristmill_postgres_up"] == seen["gristmill_redis_up"] == 1, seen
    assert seen['gristmill_workers{state="working"}'] == 3, seen
