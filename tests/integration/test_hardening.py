"""The services give up rights they do not need, log it, and are closed to other processes of their user."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.support.databases import own_database
from tests.support.stack import Process, Stack, eventually

READER = """
import json, sys
found = {}
for path in sys.argv[1:]:
    try:
        holds = b"GRISTMILL_DATABASE_URL" in open(path, "rb").read()
        found[path] = "GRISTMILL_DATABASE_URL" if holds else "without"
    except PermissionError:
        found[path] = "refused"
print(json.dumps(found))
"""


LAUNCHER = """
from gristmill.launcher.processes import keep_private
keep_private()
print('{"event": "launcher.private"}', flush=True)
import time
time.sleep(600)
"""


@pytest.fixture(scope="module")
def services(postgres, redis_server, tmp_path_factory):
    """A gateway, a worker, the first steps of a launcher, and an open process.

    The last is of the same user, has their environment and does not close itself.
    """
    url = redis_server.rpartition("/")[0] + "/3"
    with own_database(postgres, "hardening") as dsn, ExitStack() as ends:
        stack = Stack(dsn, url, tmp_path_factory.mktemp("hardening"))
        ends.callback(stack.close)
        commands = [
            [sys.executable, "-m", "api_service", "serve"],
            [sys.executable, "-m", "worker_service"],
            [sys.executable, "-c", LAUNCHER],
            ["sleep", "600"],
        ]
        yield [stack.start("tests.support.capless", *command) for command in commands]


def line(process: Process, event: str) -> dict:
    eventually(lambda: event.encode() in process.log.read_bytes(), event)
    return next(
        found for found in map(json.loads, process.log.read_text().splitlines()) if found["event"] == event
    )


def test_the_gateway_says_in_one_line_what_is_in_force(services):
    gateway, *_ = services

    said = line(gateway, "gateway.hardening")
    assert (said["no_new_privs"], said["no_dump"]) == ("yes", "yes")


def test_a_worker_says_in_one_line_what_is_in_force_in_its_parent_and_its_children(services):
    _, worker, *_ = services

    said = line(worker, "worker.hardening")
    assert said["parent"] == {"no_new_privs": "yes", "no_dump": "yes"}
    assert said["children"].keys() == {"no_network", "no_capabilities", "no_new_privs", "no_dump"}
    network = said["children"].pop("no_network")
    assert set(said["children"].values()) == {"yes"}
    assert network == "yes" or network.startswith("no: ")


def test_no_other_process_of_their_user_reads_their_environment(services):
    gateway, worker, launcher, open_one = services
    line(gateway, "gateway.listening")
    line(worker, "worker.hardening")
    line(launcher, "launcher.private")
    template = psutil.Process(worker.popen.pid).children()[0].pid
    closed = [
        f"/proc/{pid}/environ" for pid in (gateway.popen.pid, worker.popen.pid, launcher.popen.pid, template)
    ]
    opened = f"/proc/{open_one.popen.pid}/environ"

    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.capless", sys.executable, "-c", READER, opened, *closed],
        check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert json.loads(ran.stdout) == {opened: "GRISTMILL_DATABASE_URL"} | dict.fromkeys(closed, "refused")
