"""Workers die, freeze and fail in the middle of a dry run: another one ends it, and nothing is left."""

import signal

import pytest

from tests.support.databases import own_database
from tests.support.stack import alive, eventually, running

MOMENTS = (
    "plan.before_insert",
    *(
        pytest.param(moment, marks=pytest.mark.full)
        for moment in ("claim.after_commit", "commit.fenced", "commit.after")
    ),
)


@pytest.fixture(scope="module")
def services(postgres, redis_server, tmp_path_factory):
    url = redis_server.rpartition("/")[0] + "/7"
    with (
        own_database(postgres, "plan_faults") as dsn,
        running(dsn, url, tmp_path_factory.mktemp("plan_faults"), workers=0) as stack,
    ):
        yield stack


@pytest.fixture
def stack(services):
    """A gateway; each test starts the workers that it needs."""
    yield services
    services.without_workers()


def ask(stack):
    uri = stack.write("a.csv", "k,v\n" + "".join(f"k{i % 5},{i}\n" for i in range(100)))
    spec = {
        "source": {"uris": [uri]},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}],
    }
    answer = stack.http.post("/v1/plans", json=spec, headers={"Prefer": "wait=0"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Retry-After"] == "1"
    return answer.json()["id"]


def ended(stack, plan_id):
    def done():
        found = stack.http.get(f"/v1/plans/{plan_id}", headers={"Prefer": "wait=5"}).json()
        return found if found["done"] else None

    return eventually(done, f"the end of {plan_id}")


def check(stack, plan_id):
    plan = ended(stack, plan_id)
    assert plan["error"] is None
    assert (plan["plan"]["rows"]["value"], plan["plan"]["groups"]["value"]) == (100, 5)
    assert stack.sql("SELECT count(*) FROM gristmill.plans WHERE job_id = %s", plan_id) == [(1,)]
    assert stack.sql("SELECT kind, state FROM gristmill.units WHERE job_id = %s", plan_id) == [
        ("plan", "done")
    ]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_plan_whose_worker_is_killed_is_done_by_another(stack, moment):
    plan_id = ask(stack)
    first = stack.start("worker_service", GRISTMILL_FAULT_POINTS=f"{moment}:1:kill", GRISTMILL_SLOTS="1")
    eventually(lambda: first.popen.poll() is not None, "the worker's death")
    assert first.popen.returncode == -signal.SIGKILL
    stack.worker()

    check(stack, plan_id)
    job = stack.run({"plan": plan_id})
    assert job["state"] == "succeeded", job["error"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_job_from_a_plan_whose_worker_is_killed_is_done_by_another(stack, moment):
    plan_id = ask(stack)
    planner = stack.worker()
    check(stack, plan_id)
    assert planner.stop() == 0
    job_id = stack.submit({"plan": plan_id})["id"]
    stack.sql("DELETE FROM gristmill.jobs WHERE id = %s", plan_id)  # as the pruner does in the meantime
    first = stack.start("worker_service", GRISTMILL_FAULT_POINTS=f"{moment}:1:kill", GRISTMILL_SLOTS="1")
    eventually(lambda: first.popen.poll() is not None, "the worker's death")
    stack.worker()

    job = stack.wait(job_id)
    assert job["state"] == "succeeded", job["error"]
    assert {row["k"]: row["sum_v"] for row in stack.rows(job_id)} == {
        f"k{i}": sum(range(i, 100, 5)) for i in range(5)
    }
    assert stack.sql("SELECT count(*) FROM gristmill.plans WHERE job_id = %s", job_id) == [(0,)]


@pytest.mark.full
def test_a_frozen_workers_plan_is_done_by_another_and_its_late_commit_counts_for_nothing(stack):
    plan_id = ask(stack)
    zombie = stack.start(
        "worker_service", GRISTMILL_FAULT_POINTS="plan.before_insert:1:stop", GRISTMILL_SLOTS="1"
    )
    eventually(lambda: b"plan.before_insert" in zombie.log.read_bytes(), "the freeze")
    stack.worker()
    check(stack, plan_id)
    zombie.popen.send_signal(signal.SIGCONT)
    children = zombie.children
    assert zombie.stop() == 0

    check(stack, plan_id)
    assert not any(alive(pid) for pid in children)


def test_a_dry_run_that_is_deleted_while_it_is_planned_leaves_nothing_and_frees_its_slot(stack):
    plan_id = ask(stack)
    worker = stack.start(
        "worker_service", GRISTMILL_FAULT_POINTS="plan.before_insert:1:stop", GRISTMILL_SLOTS="1"
    )
    eventually(lambda: b"plan.before_insert" in worker.log.read_bytes(), "the freeze")
    assert stack.http.delete(f"/v1/plans/{plan_id}").status_code == 204
    worker.popen.send_signal(signal.SIGCONT)

    job = stack.run(
        {
            "source": {"uris": [stack.write("b.csv", "k\na\n")]},
            "group_by": ["k"],
            "aggregates": [{"fn": "count"}],
        }
    )
    assert job["state"] == "succeeded", job["error"]
    for table in ("jobs WHERE id", "units WHERE job_id", "plans WHERE job_id"):
        assert stack.sql(f"SELECT count(*) FROM gristmill.{table} = %s", plan_id) == [(0,)]
    assert b"unit.bug" not in worker.log.read_bytes()


def test_a_dry_run_that_no_worker_takes_fails_at_its_deadline(stack):
    plan_id = ask(stack)
    stack.sql("UPDATE gristmill.jobs SET deadline_at = now() WHERE id = %s", plan_id)
    stack.sql("UPDATE gristmill.units SET not_before = now() + interval '1 hour' WHERE job_id = %s", plan_id)
    stack.worker()

    plan = ended(stack, plan_id)
    assert (plan["state"], plan["error"]["code"]) == ("failed", "deadline_exceeded")
    assert "within 0:10:00" in plan["error"]["detail"]
