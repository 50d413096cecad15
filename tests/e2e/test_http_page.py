"""Every curl line of docs/http.md, in the order of the page, against a running gateway and worker.

`upl_…` stands for the newest upload, `plan_…` for the newest plan, and `job_…` for a paused job. All requests
carry a key.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stack import Stack

PAGE = Path(__file__).parents[2] / "docs" / "http.md"
COMMAND = re.compile(r"^    (?:(printf .*)\n    )?(curl (?:.*\\\n)*.*)$", re.MULTILINE)
SALES = "country,amount\nKR,1\nJP,2\n"
JOB = {"group_by": ["country"], "aggregates": [{"fn": "sum", "column": "amount"}]}
KEY = '-H "Authorization: Bearer $KEY"'
ID = re.compile(r"\b((upl|plan|job)_[0-9a-z]{26})\b")


@pytest.fixture
def stack(database_url, redis_url, tmp_path):
    stack = Stack(database_url, redis_url, tmp_path)
    command = [sys.executable, "-m", "api_service", "keys", "add", "page"]
    made = subprocess.run(command, env=stack.env, check=True, capture_output=True, text=True)
    stack.env["KEY"] = made.stdout.strip()
    stack.http.headers["Authorization"] = f"Bearer {stack.env['KEY']}"
    stack.gateway()
    yield stack
    stack.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_curl_line_of_the_page_is_answered_as_a_success(stack, tmp_path):
    (tmp_path / "sales.csv").write_text(SALES)
    paused = paused_job(stack)
    stack.worker()
    known, failed = {"job": paused["id"]}, []
    commands = COMMAND.findall(PAGE.read_text())
    for before, command in commands:
        told = asked(stack, tmp_path, before, command.replace('"7"', f'"{paused["revision"]}"', 1), known)
        status = int(told[-3:])
        if not 200 <= status < 300:
            failed.append((command, told))
        known |= {kind: found for found, kind in ID.findall(told) if kind != "job"}
        spec = {"source": {"uris": [f"upload:{known.get('upl')}"]}, **JOB}
        (tmp_path / "job.json").write_text(json.dumps(spec))
        if "/v1/plans" in command and "plan" in known:
            known["plan"] = whole_plan(stack, spec)
    assert failed == []
    assert len(commands) > 10


def paused_job(stack: Stack) -> dict:
    """A job that no worker was there to begin."""
    job = stack.submit({"source": {"uris": [stack.write("a.csv", SALES)]}, **JOB})
    return stack.http.post(f"/v1/jobs/{job['id']}/pause").json()


def whole_plan(stack: Stack, spec: dict) -> str:
    """A plan that a job can begin with: that of a source alone cannot."""
    return stack.http.post("/v1/plans", json=spec).json()["id"]


def asked(stack: Stack, folder: Path, before: str, command: str, known: dict[str, str]) -> str:
    """The answer to a command, with its headers, and behind it the status."""
    for kind, found in known.items():
        command = command.replace(f"{kind}_…", found)
    command = command.replace("127.0.0.1:8080", f"127.0.0.1:{stack.port}")
    keyed = "" if "Authorization" in command else KEY
    command = command.replace("curl ", f"curl -sS -w '%{{http_code}}' {keyed} ", 1)
    ran = subprocess.run(
        ["bash", "-c", f"{before}\n{command}"],
        cwd=folder,
        env=stack.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, (command, ran.stderr)
    return ran.stdout
