"""Backup and restore in containers, by the commands of docs/operations.md."""

import re
from pathlib import Path

from tests.compose.client import Answer, Client
from tests.compose.engine import ROOT, Compose

HEADING = "## Backup and restore in containers"


def commands() -> list[str]:
    """Those of the backup, and those of the restore."""
    page = (ROOT / "docs" / "operations.md").read_text().partition(HEADING)[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def check_restore(compose: Compose, csv: Path, folder: Path, expected: Answer) -> None:
    """A dump that is made while jobs are under way, restored into new volumes."""
    backup, restore = commands()
    client = Client(compose)
    uri = client.upload(csv)
    first = client.submit(uri)
    assert client.answer(first) == expected
    key = compose("exec", "-T", "api", "gristmill", "server", "keys", "add", "backed-up").strip()
    jobs = client.several(uri)
    compose.in_a_shell(backup, folder)
    client.unfinished(jobs[-1])
    compose("down", "--volumes")

    assert "invariants hold" in compose.in_a_shell(restore, folder)
    client = Client(compose, key)
    assert all(client.answer(job) == expected for job in [first, *jobs])
    assert client.answer(client.submit(uri)) == expected
