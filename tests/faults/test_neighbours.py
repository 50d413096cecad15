"""No tenant keeps all slots, and no broken machine keeps work from the workers that could do it."""

import os
import signal
from pathlib import Path

import pytest

from api_service.auth.credentials import digest, new_key
from tests.support.databases import own_database
from tests.support.hung_worker import HANGS
from tests.support.stack import Stack, alive, eventually, running

SMALL = "k,v\na,1\n"


@pytest.fixture
def stack(postgres, redis_server, tmp_path):
    url = redis_server.rpartition("/")[0] + "/3"
    with own_database(postgres, "neighbours") as dsn, running(dsn, url, tmp_path, workers=0) as stack:
        yield stack


def spec(stack: Stack, name: str, text: str = SMALL, **more):
    source = {"uris": [stack.write(name, text)], "format": "csv"}
    return {"source": source, "group_by": ["k"], "aggregates": [{"fn": "sum", "column": "v"}], **more}


def key(stack: Stack, tenant: str) -> dict[str, str]:
    """The header of a new key."""
    text = new_key()
    stack.sql(
        "INSERT INTO gristmill.api_keys (id, tenant, name, sha256) VALUES (%s, %s, 'test', %s)",
        tenant,
        tenant,
        digest(text),
    )
    return {"Authorization": f"Bearer {text}"}


# fault matrix: 56
@pytest.mark.parametrize("task", ["plan", pytest.param("chunk", marks=pytest.mark.full)])
def test_a_tenant_whose_units_never_end_gives_a_slot_to_one_that_waits_and_is_charged_nothing(stack, task):
    stack.workers(1, "tests.support.wicked_worker")
    hostile, neighbour = key(stack, "hostile"), key(stack, "neighbour")
    stack.http.headers.update(neighbour)
    marks = stack.folder / "marks"
    marks.mkdir()
    for mark in "ab":
        (marks / mark).touch()
    labels = {"fault": "c_loop", "marks": str(marks), "task": task}
    taken = [
        stack.submit(spec(stack, f"{no}.csv", SMALL + "b,2\n" * no, labels=labels), **hostile)["id"]
        for no in range(2)
    ]
    eventually(lambda: not any(marks.iterdir()), "two units that loop")
    assert len(stack.sql("SELECT id FROM gristmill.units WHERE kind = %s AND state = 'leased'", task)) == 2

    small = stack.wait(stack.submit(spec(stack, "small.csv"))["id"])

    assert small["state"] == "succeeded"
    units = stack.sql(
        "SELECT preemptions, deaths + crashes + errors + ooms FROM gristmill.units WHERE job_id = ANY (%s)",
        taken,
    )
    assert max(units) == (1, 0), "before any deadline, the youngest made room, once"
    assert sum(charged for _, charged in units) == 0
    for job_id in taken:
        assert stack.sql("SELECT state FROM gristmill.jobs WHERE id = %s", job_id) != [("failed",)]


# fault matrix: 58
def test_a_worker_whose_thread_hangs_ends_when_it_is_told_to(stack):
    hangs = stack.folder / "hangs"
    [worker] = stack.workers(1, "tests.support.hung_worker", **{HANGS: str(hangs)})
    eventually(hangs.exists, "a thread that hangs")
    assert stack.http.get("/readyz").json()["workers"] == {"live": 1, "able": 1}
    children = worker.children

    assert worker.stop() == 0
    eventually(lambda: not any(alive(pid) for pid in children), "the end of its children")


# fault matrix: 57
@pytest.mark.full
def test_a_frozen_template_whose_children_have_died_is_replaced_and_the_job_ends(stack):
    worker = stack.worker()
    parent = worker.popen.pid
    born = {int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}
    [template] = born - set(worker.children)
    os.kill(template, signal.SIGSTOP)
    for child in worker.children:
        os.kill(child, signal.SIGKILL)

    assert stack.wait(stack.submit(spec(stack, "small.csv"))["id"])["state"] == "succeeded"
    assert b"template.frozen" in worker.log.read_bytes()
    assert not alive(template)
