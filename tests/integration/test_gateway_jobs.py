"""Jobs over HTTP: submitting, watching, listing; workers are played by SQL."""

import asyncio
import io
import json

import pytest
from redis.asyncio import Redis

from shared.doorbell import REQUEST
from tests.support.gateway import (
    SPEC,
    database,
    finish_job,
    gateway,
    insert_job,
    problem_of,
    publish,
    spec_for,
)

JOB_KEYS = {
    "id",
    "state",
    "phase",
    "waiting_for",
    "done",
    "revision",
    "progress",
    "timing",
    "schema",
    "delimiter",
    "warnings",
    "result",
    "error",
    "priority",
    "labels",
    "spec",
    "links",
}
PROBLEM = {"code": "bad_row", "category": "source", "retryable": False, "detail": "line 7", "errors": []}


async def count_jobs(settings) -> int:
    async with database(settings) as connection:
        return await connection.fetchval("SELECT count(*) FROM gristmill.jobs")


async def test_a_submitted_job_is_accepted_and_found_at_its_location(settings):
    spec = spec_for(settings, labels={"team": "growth"}, output={"name": "sales"})
    async with gateway(settings) as http:
        async with http.post("/v1/jobs", json=spec) as response:
            job = await response.json()
            assert response.status == 202
            assert response.headers["Retry-After"] == "1"
        async with http.get(response.headers["Location"]) as again:
            assert (await again.json())["id"] == job["id"]

    assert set(job) == JOB_KEYS
    assert (job["state"], job["phase"], job["done"], job["result"], job["error"]) == (
        "queued",
        "planning",
        False,
        None,
        None,
    )
    assert job["labels"] == {"team": "growth"}
    assert job["spec"]["output"]["name"] == "sales"
    assert job["progress"]["fraction"] == 0
    async with database(settings) as connection:
        assert [
            tuple(row) for row in await connection.fetch("SELECT job_id, kind, state FROM gristmill.units")
        ] == [(job["id"], "plan", "pending")]


async def test_a_submit_is_heard_by_the_doorbell(settings):
    async with (
        Redis.from_url(settings.redis_url) as redis,
        gateway(settings) as http,
        http.post("/v1/jobs", json=spec_for(settings)),
    ):
        assert await redis.bzpopmin(REQUEST, timeout=5)


@pytest.mark.parametrize(
    "header",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": ""},
    ],
)
async def test_a_spec_that_does_not_say_it_is_json_is_refused(settings, header):
    async with (
        gateway(settings) as http,
        http.post("/v1/jobs", data=json.dumps(spec_for(settings)), headers=header) as response,
    ):
        assert (response.status, (await problem_of(response))["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"\xff", 400, "malformed_json"),
        (b"", 400, "malformed_json"),
        (b'{"a": NaN}', 400, "malformed_json"),
        (b"[]", 422, "invalid_spec"),
        (b" " * 1_048_577, 413, "payload_too_large"),
    ],
)
async def test_a_body_that_is_no_spec_is_explained(settings, body, status, code):
    headers = {"Content-Type": "application/json"}
    async with (
        gateway(settings) as http,
        http.post("/v1/jobs", data=io.BytesIO(body), headers=headers) as response,
    ):
        assert (response.status, (await problem_of(response))["code"]) == (status, code)

    assert await count_jobs(settings) == 0


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"gruop_by": ["a"]}, "invalid_spec", "#/gruop_by"),
        ({"aggregates": [{"fn": "avg", "column": "a"}]}, "invalid_spec", "#/aggregates/0/fn"),
        ({"output": {"name": '"; DROP TABLE x'}}, "invalid_spec", "#/output/name"),
        ({"source": {"uris": ["s3://a/b"]}}, "not_supported", "#/source/uris/0"),
        ({"source": {"uris": ["file:///etc/passwd"]}}, "source_not_allowed", "#/source/uris/0"),
        ({"source": {"uris": ["upload:upl_missing"]}}, "source_not_found", "#/source/uris/0"),
    ],
)
async def test_what_is_wrong_with_a_spec_is_pointed_at(settings, changes, code, pointer):
    async with (
        gateway(settings) as http,
        http.post("/v1/jobs", json=spec_for(settings, **changes)) as response,
    ):
        problem = await problem_of(response)

    assert (problem["status"], problem["code"], [error["pointer"] for error in problem["errors"]]) == (
        422,
        code,
        [pointer],
    )
    assert await count_jobs(settings) == 0


async def test_every_missing_upload_is_named_and_a_known_one_is_accepted(settings):
    async with gateway(settings) as http:
        async with http.post("/v1/uploads", data=b"k\n1\n") as response:
            known = (await response.json())["uri"]
        async with http.post(
            "/v1/jobs", json=SPEC | {"source": {"uris": [known, "upload:a", "upload:b"]}}
        ) as response:
            problem = await problem_of(response)
        async with http.post("/v1/jobs", json=SPEC | {"source": {"uris": [known]}}) as response:
            assert response.status == 202

    assert [error["pointer"] for error in problem["errors"]] == ["#/source/uris/1", "#/source/uris/2"]


async def test_the_same_key_and_body_is_the_same_job_and_another_body_is_refused(settings):
    key = {"Idempotency-Key": "order-7"}
    async with gateway(settings) as http:
        async with http.post("/v1/jobs", json=spec_for(settings), headers=key) as first:
            job = await first.json()
            assert "Idempotency-Replayed" not in first.headers
        async with http.post("/v1/jobs", json=spec_for(settings), headers=key) as second:
            assert (second.status, second.headers["Idempotency-Replayed"], (await second.json())["id"]) == (
                202,
                "true",
                job["id"],
            )
        async with http.post("/v1/jobs", json=spec_for(settings, group_by=[]), headers=key) as third:
            assert (third.status, (await problem_of(third))["code"]) == (422, "idempotency_key_reused")
        async with http.post("/v1/jobs", json=spec_for(settings), headers={"Idempotency-Key": "a b"}) as bad:
            assert (bad.status, (await problem_of(bad))["code"]) == (400, "bad_request")

    assert await count_jobs(settings) == 1


async def test_a_key_finds_its_job_of_a_version_whose_delimiter_was_a_comma_by_default(settings):
    body = {
        "source": {"uris": ["file:///data/a.csv"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }
    digest = "sha256:847f959e0bbe10c17fc3e7830adc85f0283110da817135a78dbb47811cf9a0c9"
    job = await insert_job(settings)
    async with database(settings) as connection:
        await connection.execute(
            "UPDATE gristmill.jobs SET spec_digest = $1, idempotency_key = 'before' WHERE id = $2",
            digest,
            job,
        )
    key = {"Idempotency-Key": "before"}
    async with gateway(settings) as http:
        async with http.post("/v1/jobs", json=body, headers=key) as again:
            assert (again.status, again.headers.get("Idempotency-Replayed")) == (202, "true")
            assert (await again.json())["id"] == job
        semicolon = {"source": body["source"] | {"csv": {"delimiter": ";"}}}
        async with http.post("/v1/jobs", json=body | semicolon, headers=key) as other:
            assert (await problem_of(other))["code"] == "idempotency_key_reused"


async def test_fifty_submits_at_once_with_one_key_make_one_job(settings):
    async with gateway(settings) as http:

        async def submit() -> str:
            async with http.post(
                "/v1/jobs", json=spec_for(settings), headers={"Idempotency-Key": "k"}
            ) as response:
                return (await response.json())["id"]

        assert len(set(await asyncio.gather(*(submit() for _ in range(50))))) == 1


async def test_jobs_are_listed_newest_first_in_pages_by_state_and_label(settings):
    ids = [await insert_job(settings, labels={"no": str(no % 2), "team": "a"}) for no in range(5)]
    await insert_job(settings, tenant="other")
    await finish_job(settings, ids[0], state="cancelled")
    async with gateway(settings) as http:

        async def listed(query: str) -> tuple[list[str], str | None]:
            async with http.get("/v1/jobs" + query) as response:
                page = await response.json()
                assert all(
                    set(item) == JOB_KEYS - {"spec", "schema", "delimiter", "warnings"}
                    for item in page["items"]
                )
                return [item["id"] for item in page["items"]], page["next"]

        newest = ids[::-1]
        assert await listed("") == (newest, None)
        first, after = await listed("?limit=2")
        assert (first, after) == (newest[:2], newest[1])
        assert await listed(f"?limit=3&after={after}") == (newest[2:], None)
        assert await listed("?state=cancelled") == ([ids[0]], None)
        assert await listed("?label=no:1&label=team:a") == ([ids[3], ids[1]], None)
        assert await listed("?label=no:2") == ([], None)


BAD_QUERIES = [
    ("limit=-1", 422, "limit"),
    ("limit=0", 422, "limit"),
    ("limit=1001", 422, "limit"),
    ("limit=ten", 422, "limit"),
    ("limit=1&limit=2", 422, "limit"),
    ("limit=%D9%A3", 422, "limit"),
    ("state=done", 422, "state"),
    ("label=team", 422, "label"),
    ("label=a:1&label=a:2", 422, "label"),
    ("label=a:%00", 422, "label"),
    ("sort=id", 422, "sort"),
    ("after=x", 400, None),
]


async def test_a_bad_list_parameter_is_named(settings):
    async with gateway(settings) as http:
        for query, status, parameter in BAD_QUERIES:
            async with http.get("/v1/jobs?" + query) as response:
                problem = await problem_of(response)

            assert problem["status"] == status, query
            assert [error["parameter"] for error in problem["errors"]] == ([parameter] if parameter else [])


async def test_unknown_ids_and_other_tenants_ids_are_not_found(settings):
    other = await publish(settings, {"k": "string"}, [("a",)], name="theirs", tenant="other")
    async with gateway(settings) as http:
        paths = [
            f"/v1/jobs/{i}{rest}" for i in (other, "job_x", "%00", "%FF", "a%2Fb") for rest in ("", "/rows")
        ]
        for path in [
            *paths,
            "/v1/results/theirs",
            "/v1/results/theirs/rows",
            "/v1/results/nope/rows",
            "/v1/uploads/%00",
        ]:
            async with http.get(path.replace("%2F", "%252F")) as response:
                assert (response.status, (await problem_of(response))["code"]) == (404, "not_found"), path
        async with http.post(f"/v1/jobs/{other}/cancel") as response:
            assert response.status == 404


async def test_a_key_means_its_job_though_the_upload_is_gone(settings):
    async with gateway(settings) as http:
        async with http.post("/v1/uploads", data=b"k\n1\n") as response:
            upload = await response.json()
        spec, key = SPEC | {"source": {"uris": [upload["uri"]]}}, {"Idempotency-Key": "order-7"}
        async with http.post("/v1/jobs", json=spec, headers=key) as response:
            job = await response.json()
        async with http.delete(f"/v1/uploads/{upload['id']}") as response:
            assert response.status == 204
        async with http.post("/v1/jobs", json=spec, headers=key) as again:
            assert (again.status, again.headers.get("Idempotency-Replayed")) == (202, "true")
            assert (await again.json())["id"] == job["id"]
        async with http.post("/v1/jobs", json=spec, headers={"Idempotency-Key": "order-8"}) as other:
            assert (await problem_of(other))["code"] == "source_not_found"
