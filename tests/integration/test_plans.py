"""Dry runs over HTTP: a gateway and a worker plan, look at the data, and begin jobs with a plan."""

import json
import signal
from contextlib import contextmanager
from datetime import timedelta

import pandas as pd
import pytest

from shared.core.retention import Retention
from shared.db.pool import connect
from shared.db.pruning import PruneStore
from shared.ids import new_id
from shared.settings import Settings
from shared.storage.uploads import UploadFiles
from tests.support.databases import own_database
from tests.support.stack import Stack, eventually, running
from worker_service.maintenance.pruner import Pruner

ROWS = 3000


@pytest.fixture(scope="module")
def stack(postgres, redis_server, tmp_path_factory):
    url = redis_server.rpartition("/")[0] + "/6"
    with (
        own_database(postgres, "plans") as dsn,
        running(dsn, url, tmp_path_factory.mktemp("plans")) as stack,
    ):
        yield stack


@pytest.fixture(scope="module")
def sales() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "shop": [f"s{i % 11}" for i in range(ROWS)],
            "amount": [i / 4 if i % 10 else None for i in range(ROWS)],
            "day": [f"2026-01-{1 + i % 28:02d}" for i in range(ROWS)],
        }
    )


@pytest.fixture(scope="module")
def uri(stack, sales) -> str:
    return stack.write("sales.csv", sales.to_csv(index=False))


def spec_of(uri: str, **changes):
    spec = {
        "source": {"uris": [uri]},
        "group_by": ["shop"],
        "aggregates": [{"fn": "sum", "column": "amount"}],
    }
    return spec | changes


def ask(stack: Stack, spec, **headers: str):
    return stack.http.post("/v1/plans", json=spec, headers=headers)


def planned(stack: Stack, spec):
    answer = ask(stack, spec)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_source_alone_is_looked_at(stack, uri, sales):
    answer = ask(stack, {"source": {"uris": [uri]}})
    assert answer.status_code == 200, answer.text
    plan = answer.json()
    found = plan["plan"]

    assert (plan["state"], plan["done"], plan["error"]) == ("succeeded", True, None)
    assert plan["spec"]["source"]["uris"] == [uri]
    assert "aggregates" not in plan["spec"]
    assert answer.headers["Location"] == f"/v1/plans/{plan['id']}"
    assert [(c["name"], c["type"], c["used"]) for c in found["columns"]] == [
        ("shop", "string", False),
        ("amount", "float64", False),
        ("day", "date", False),
    ]
    assert [c["nulls"] for c in found["columns"]] == [0.0, 0.1, 0.0]
    first = json.loads(sales.head(20).to_json(orient="records"))
    assert [row["values"] for row in found["sample"]] == first
    assert found["rows"] == {"value": ROWS, "accuracy": "exact", "method": "counted"}
    assert found["chunks"] == {"value": 1, "accuracy": "exact", "method": "counted"}
    assert (found["format"], found["compression"], found["csv"]["delimiter"]) == ("csv", "none", ",")
    assert found["files"] == [{"uri": uri, "bytes": found["bytes"], "compression": "none"}]
    assert found["file_count"] == 1
    again = stack.http.get(f"/v1/plans/{plan['id']}")
    assert again.json() == plan


def test_a_spec_is_planned_and_its_groups_are_counted(stack, uri):
    found = planned(stack, spec_of(uri))["plan"]

    assert [(c["name"], c["used"], c["key"]) for c in found["columns"]] == [
        ("shop", True, True),
        ("amount", True, False),
        ("day", False, False),
    ]
    assert found["groups"] == {"value": 11, "accuracy": "exact", "method": "counted"}
    seconds = found["seconds"]
    assert 0 <= seconds["low"] <= seconds["value"] <= seconds["high"]
    assert seconds["accuracy"] == "estimate"


def test_keys_without_aggregates_are_counted(stack, uri):
    spec = {"source": {"uris": [uri]}, "group_by": ["day"], "where": "shop == 's1'"}
    assert planned(stack, spec)["plan"]["groups"]["value"] == 28


def test_a_dry_run_bears_a_job_whose_plan_holds_a_nul(stack, uri):
    """Its estimate reads the plans of earlier jobs; Postgres gives no field of JSON that holds a NUL."""
    job = stack.run(spec_of(uri))
    assert job["state"] == "succeeded", job["error"]
    for text in (r"a\u0000", r"a\\u0000"):
        stack.sql(
            "UPDATE gristmill.jobs SET plan = (rtrim(plan::text, '}') || %s)::json WHERE id = %s",
            f',"odd":"{text}"}}',
            job["id"],
        )
        plan = planned(stack, {"source": {"uris": [uri], "format": "csv"}})
        assert plan["error"] is None
        stack.sql(
            "UPDATE gristmill.jobs SET plan = replace(plan::text, %s, '}')::json WHERE id = %s",
            f',"odd":"{text}"}}',
            job["id"],
        )


def test_bad_rows_are_told_apart(stack):
    uri = stack.write("bad.csv", "a,b\n1,2\n3\n5,6\n")
    found = planned(stack, {"source": {"uris": [uri]}})["plan"]

    assert found["sample"][0] == {"values": {"a": 1, "b": 2}}
    assert found["sample"][2] == {"values": {"a": 5, "b": 6}}
    bad = found["sample"][1]["bad"]
    assert (bad["line"], bad["byte"], bad["text"]) == (3, 8, "3")
    assert "field" in bad["detail"]


def test_a_fault_that_only_data_show_is_the_error_of_a_plan_that_is_done(stack, uri):
    plan = planned(stack, spec_of(uri, aggregates=[{"fn": "sum", "column": "amuont"}]))

    assert (plan["state"], plan["done"], plan["plan"]) == ("failed", True, None)
    assert plan["error"]["code"] == "unknown_column"
    assert "amount" in plan["error"]["errors"][0]["detail"]

    plan = planned(stack, spec_of(uri, aggregates=[{"fn": "sum", "column": "shop"}]))
    assert plan["error"]["code"] == "type_mismatch"
    assert plan["error"]["errors"][0]["pointer"] == "#/aggregates/0/column"


def test_faults_that_need_no_data_are_refused(stack, uri):
    answer = ask(stack, {"group_by": []})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_spec")
    assert answer.json()["errors"][0]["pointer"] == "#/source"
    answer = ask(stack, {"source": {"uris": [uri]}, "grup_by": []})
    assert answer.json()["errors"][0]["pointer"] == "#/grup_by"
    assert ask(stack, spec_of("file:///etc/passwd")).json()["code"] == "source_not_allowed"


def test_lists_and_paths_of_jobs_know_no_plan(stack, uri):
    plan = planned(stack, spec_of(uri))["id"]

    assert all(job["id"].startswith("job_") for job in stack.http.get("/v1/jobs").json()["items"])
    for path in ("", "/rows", "/receipt", "/quarantine"):
        assert stack.http.get(f"/v1/jobs/{plan}{path}").status_code == 404, path
    for change in ("cancel", "pause", "resume", "retry"):
        assert stack.http.post(f"/v1/jobs/{plan}/{change}").status_code == 404, change
    job = stack.run(spec_of(uri))["id"]
    assert stack.http.get(f"/v1/plans/{job}").status_code == 404


def test_a_job_begins_with_a_plan(stack, uri, sales):
    plan = planned(stack, spec_of(uri, labels={"team": "x"}, output={"name": "from_plan"}))["id"]
    jobs = [stack.run({"plan": plan}) for _ in range(2)]

    expected = sales.groupby("shop")["amount"].sum().to_dict()
    for version, job in enumerate(jobs, 1):
        assert job["state"] == "succeeded", job["error"]
        assert {row["shop"]: row["sum_amount"] for row in stack.rows(job["id"])} == expected
        assert (job["labels"], job["result"]["version"]) == ({"team": "x"}, version)
    assert stack.sql("SELECT count(*) FROM gristmill.plans WHERE job_id LIKE 'job_%%'") == [(0,)]
    ordinary = stack.run(spec_of(uri))
    assert ordinary["result"]["digest"] == jobs[0]["result"]["digest"]


@pytest.mark.parametrize(
    "change", ["changed", *(pytest.param(change, marks=pytest.mark.full) for change in ("new", "gone"))]
)
def test_a_job_from_a_plan_fails_if_a_file_changed(stack, change):
    folder = new_id("f")
    stack.write(f"{folder}/a.csv", "k,v\na,1\n")
    stack.write(f"{folder}/b.csv", "k,v\nb,1\n")
    spec = spec_of(
        f"file://{stack.data}/{folder}/*.csv", group_by=["k"], aggregates=[{"fn": "sum", "column": "v"}]
    )
    plan = planned(stack, spec)["id"]
    {
        "changed": lambda: stack.write(f"{folder}/a.csv", "k,v\na,2\n"),
        "new": lambda: stack.write(f"{folder}/c.csv", "k,v\nb,1\n"),
        "gone": (stack.data / folder / "b.csv").unlink,
    }[change]()
    job = stack.run({"plan": plan})

    assert (job["state"], job["error"]["code"]) == ("failed", "source_changed")
    assert change in job["error"]["detail"]


def test_idempotency_keys(stack, uri):
    key, spec = new_id("key"), spec_of(uri)
    first, again = (ask(stack, spec, **{"Idempotency-Key": key}) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    plan = first.json()["id"]
    refused = stack.http.post("/v1/jobs", json=spec, headers={"Idempotency-Key": key})
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")

    header = {"Idempotency-Key": new_id("key")}
    jobs = [stack.http.post("/v1/jobs", json={"plan": plan}, headers=header) for _ in range(2)]
    assert jobs[0].json()["id"] == jobs[1].json()["id"]
    stack.wait(jobs[0].json()["id"])
    stack.sql("DELETE FROM gristmill.jobs WHERE id = %s", plan)
    late = stack.http.post("/v1/jobs", json={"plan": plan}, headers=header)
    assert late.json()["id"] == jobs[0].json()["id"]


def test_plans_that_no_job_can_begin_with(stack, uri):
    def refusal(body):
        answer = stack.http.post("/v1/jobs", json=body)
        return answer.status_code, answer.json()["code"]

    look = planned(stack, {"source": {"uris": [uri]}})["id"]
    failed = planned(stack, spec_of(uri, group_by=["nothing"]))["id"]
    assert refusal({"plan": look}) == (422, "invalid_spec")
    assert refusal({"plan": failed}) == (409, "invalid_state")
    assert refusal({"plan": new_id("plan")}) == (404, "not_found")
    assert refusal({"plan": look, "labels": {}}) == (422, "invalid_spec")
    assert refusal({"plan": 5}) == (422, "invalid_spec")
    assert refusal({"plan": "plan_\0"}) == (422, "invalid_spec")
    assert refusal({"plan": "plan_" + "0" * 26}) == (410, "plan_expired")
    assert stack.http.get("/v1/plans/plan_" + "0" * 26).status_code == 410
    assert stack.http.get(f"/v1/plans/{new_id('plan')}").status_code == 404


def test_another_tenant_sees_no_plan(stack, uri):
    plan = planned(stack, spec_of(uri))["id"]
    stack.sql("UPDATE gristmill.jobs SET tenant = 'other' WHERE id = %s", plan)

    eventually(lambda: stack.http.get(f"/v1/plans/{plan}").status_code == 404, "the end of the kept view")
    assert stack.http.post("/v1/jobs", json={"plan": plan}).status_code == 404


def test_a_plan_is_deleted_with_all_that_it_left_and_its_upload_and_its_jobs_stay(stack, sales):
    content = sales.to_csv(index=False).encode()
    upload = stack.http.post("/v1/uploads", content=content).json()
    key = {"Idempotency-Key": new_id("key")}
    plan = ask(stack, spec_of(upload["uri"]), **key).json()["id"]
    job = stack.run({"plan": plan})["id"]

    answer = stack.http.delete(f"/v1/plans/{plan}")
    assert (answer.status_code, answer.content) == (204, b"")
    for again in (stack.http.delete, stack.http.get):
        assert (again(f"/v1/plans/{plan}").status_code, again(f"/v1/plans/{plan}").json()["code"]) == (
            404,
            "not_found",
        )
    assert leavings(stack, plan) == [0, 0, 0, 0]
    assert stack.http.get(f"/v1/uploads/{upload['id']}").status_code == 200
    assert len(stack.rows(job)) == 11
    assert ask(stack, spec_of(upload["uri"]), **key).json()["id"] != plan, "its key is forgotten"


def leavings(stack, plan):
    tables = ("jobs WHERE id", "units WHERE job_id", "plans WHERE job_id", "job_events WHERE job_id")
    return [stack.sql(f"SELECT count(*) FROM gristmill.{table} = %s", plan)[0][0] for table in tables]


def test_another_tenants_plan_and_a_job_are_not_deleted_as_a_plan(stack, uri):
    plan, job = planned(stack, spec_of(uri))["id"], stack.run(spec_of(uri))["id"]
    stack.sql("UPDATE gristmill.jobs SET tenant = 'other' WHERE id = %s", plan)
    for one in (plan, job, new_id("plan")):
        assert stack.http.delete(f"/v1/plans/{one}").status_code == 404
    assert leavings(stack, plan) == [1, 1, 1, 2]
    assert stack.job(job)["state"] == "succeeded"


@contextmanager
def frozen(processes):
    for process in processes:
        process.popen.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.popen.send_signal(signal.SIGCONT)


async def test_a_plan_is_deleted_an_hour_after_its_end(stack, uri):
    old, young = (planned(stack, spec_of(uri))["id"] for _ in range(2))
    job = stack.run({"plan": old})["id"]
    with frozen(stack.processes[1:]):  # their pruner would delete the plan, whose id does not tell of an hour
        for plan, minutes in ((old, 61), (young, 59)):
            stack.sql(
                "UPDATE gristmill.jobs SET finished_at = now() - %s WHERE id = %s",
                timedelta(minutes=minutes),
                plan,
            )
        eventually(lambda: stack.http.get(f"/v1/plans/{old}").status_code != 200, "the end of the kept view")
        answer = stack.http.get(f"/v1/plans/{old}")
        assert (answer.status_code, answer.json()["code"]) == (410, "plan_expired")

    pool = connect(stack.database_url, name="test", size=1)
    files = UploadFiles(Settings(database_url=stack.database_url, redis_url="redis://nowhere").storage)
    report = await Pruner(PruneStore(pool), files, Retention()).run_once()
    await pool.close()

    assert report.plans <= 1  # the stack's own worker prunes, too
    left = {row[0] for row in stack.sql("SELECT id FROM gristmill.jobs WHERE id IN (%s, %s)", old, young)}
    assert left == {young}
    assert stack.http.get(f"/v1/plans/{young}").status_code == 200
    assert stack.job(job)["state"] == "succeeded"
    assert len(stack.rows(job)) == 11
