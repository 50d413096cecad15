"""PATCH /v1/jobs/{id}: priority, labels and deadline of a job that was submitted."""

import pytest

from tests.support.gateway import database, finish_job, gateway, insert_job, problem_of, spec_for
from tests.support.store import World


async def patch(http, job_id, body, **headers):
    async with http.patch(f"/v1/jobs/{job_id}", json=body, headers=headers) as response:
        if response.status >= 400:
            return response.status, await problem_of(response)
        return response.status, await response.json()


async def test_a_change_is_a_merge_patch_a_new_revision_and_an_entry_of_the_history(settings):
    async with gateway(settings) as http:
        spec = spec_for(settings, labels={"team": "growth", "tier": "1"})
        async with http.post("/v1/jobs", json=spec) as response:
            job = await response.json()
        status, changed = await patch(
            http, job["id"], {"priority": 9, "labels": {"tier": None, "run": "7"}, "deadline": "2h"}
        )
        assert (status, changed["priority"], changed["labels"]) == (200, 9, {"team": "growth", "run": "7"})
        assert changed["revision"] == job["revision"] + 1
        assert changed["timing"]["deadline_at"] is not None
        assert changed["spec"] == job["spec"], "the spec is what was submitted"
        _, same = await patch(http, job["id"], {"priority": 9, "labels": {"run": "7"}})
        assert same["revision"] == changed["revision"], "nothing changed"
        _, without = await patch(http, job["id"], {"labels": None, "deadline": None})
        assert (without["labels"], without["timing"]["deadline_at"]) == ({}, None)
        async with http.get(f"/v1/jobs/{job['id']}/history") as response:
            entries = (await response.json())["items"]
        assert [(e["event"], e["actor"]) for e in entries[1:]] == [("changed", "default")] * 2
        assert entries[1]["detail"]["priority"] == {"from": 5, "to": 9}
        assert entries[1]["detail"]["labels"] == {"tier": None, "run": "7"}
        assert entries[2]["detail"]["deadline_at"]["to"] is None


async def test_if_match_wants_the_revision_that_was_read(settings):
    job_id = await insert_job(settings)
    async with gateway(settings) as http:
        async with http.get(f"/v1/jobs/{job_id}") as response:
            tag, revision = response.headers["ETag"], (await response.json())["revision"]
        async with database(settings) as connection:
            await connection.execute(
                "UPDATE gristmill.units SET state = 'leased', worker = 'w', deadline_at = now()"
            )
        for good in (tag, f'"{revision}"', str(revision), f'"x", {tag}', "*"):
            status, _ = await patch(http, job_id, {"priority": 5}, **{"If-Match": good})
            assert status == 200, good
        assert (await patch(http, job_id, {"priority": 6}, **{"If-Match": tag}))[0] == 200
        for stale in (tag, f'"{revision}"', '"x"'):
            status, problem = await patch(http, job_id, {"priority": 7}, **{"If-Match": stale})
            assert (status, problem["code"]) == (412, "precondition_failed"), stale
            assert f"revision {revision + 1}" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#"),
        ({"priority": 10}, "#/priority"),
        ({"priority": None}, "#/priority"),
        ({"priority": "5"}, "#/priority"),
        ({"deadline": "soon"}, "#/deadline"),
        ({"labels": {"a b": "c"}}, "#/labels/a b"),
        ({"labels": {f"k{no}": "v" for no in range(33)}}, "#/labels"),
        ({"state": "paused"}, "#/state"),
    ],
)
async def test_a_mistake_is_named_at_its_place(settings, body, pointer):
    job_id = await insert_job(settings)
    async with gateway(settings) as http:
        status, problem = await patch(http, job_id, body)
        assert (status, problem["code"]) == (422, "invalid_body")
        assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_a_job_that_is_done_has_only_labels_to_change(settings):
    job_id = await insert_job(settings)
    await finish_job(settings, job_id)
    async with gateway(settings) as http:
        for body in ({"priority": 9}, {"deadline": "1h"}, {"deadline": None, "labels": {}}):
            status, problem = await patch(http, job_id, body)
            assert (status, problem["code"]) == (409, "already_done")
        status, changed = await patch(http, job_id, {"labels": {"kept": "yes"}})
        assert (status, changed["labels"]) == (200, {"kept": "yes"})
        status, problem = await patch(http, "job_00000000000000000000000000", {"priority": 1})
        assert (status, problem["code"]) == (404, "not_found")
        async with http.patch(
            f"/v1/jobs/{job_id}", data=b"{}", headers={"Content-Type": "text/plain"}
        ) as answer:
            assert answer.status == 415
        merge = {"Content-Type": "application/merge-patch+json"}
        async with http.patch(f"/v1/jobs/{job_id}", data=b'{"labels":{}}', headers=merge) as answer:
            assert answer.status == 200


async def test_a_raised_priority_acts_at_the_next_claim_and_a_new_deadline_ends_the_job(settings):
    world = World(settings.database_url)
    await world.beat()
    first, second = await world.planned(2), await world.planned(2)
    await world.claimed(job_id=first)
    async with gateway(settings) as http:
        assert (await patch(http, second, {"priority": 9}))[0] == 200
        assert {(await world.claimed()).job_id for _ in range(2)} == {second}
        assert (await patch(http, second, {"deadline": "1s"}))[0] == 200
    await world.value("UPDATE gristmill.jobs SET deadline_at = now() WHERE id = $1 RETURNING 1", second)
    await world.jobs.fail_overdue()
    job = await world.jobs.get("default", second)
    assert job.error["code"] == "deadline_exceeded"
    assert "the deadline that it was given later" in job.error["detail"]
    await world.pool.close()
