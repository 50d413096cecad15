"""A gateway with API keys refuses requests without one; a gateway without keys serves no foreign web page."""

import asyncio
import os
import re
import sys

import pytest
from pydantic import SecretStr

from api_service.wire.pages import Cursor, encode_cursor
from shared.ids import new_id
from shared.settings import Settings
from tests.support.gateway import database, gateway, insert_job, problem_of, publish, spec_for

STATIC = "s" * 40


async def command(settings, *words: str, **changes: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `python -m api_service …`, given the database only."""
    environment = {"PATH": os.environ["PATH"], "GRISTMILL_DATABASE_URL": settings.database_url, **changes}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api_service", *words),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, said.decode(), complained.decode()


async def keys(settings, *words: str, **changes: str) -> tuple[int, str, str]:
    return await command(settings, "keys", *words, **changes)


async def added(settings, *words: str) -> str:
    code, said, complained = await keys(settings, "add", *words)
    assert code == 0, complained
    return said.strip()


def as_bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_a_key_is_printed_once_and_only_its_digest_is_stored(settings):
    key = await added(settings, "laptop")
    _, said, _ = await keys(settings, "list")
    async with database(settings) as connection:
        row = str(await connection.fetchrow("SELECT * FROM gristmill.api_keys"))

    assert re.fullmatch(r"gm_[A-Za-z0-9_-]{43}", key)
    assert "laptop" in said
    assert "default" in said
    assert key not in said
    assert key not in row
    assert key[3:] not in row


async def test_every_request_but_the_health_checks_needs_a_key_once_there_is_one(settings):
    key = await added(settings, "laptop")
    paths = [
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("POST", "/v1/uploads"),
        ("GET", "/v1/results/x/rows"),
        ("GET", "/nope"),
    ]
    wrong = [
        {},
        as_bearer("gm_" + "x" * 43),
        as_bearer(key + "x"),
        {"Authorization": f"Basic {key}"},
        {"Authorization": "Bearer"},
    ]
    async with gateway(settings) as http:
        for method, path in paths:
            for headers in wrong:
                async with http.request(method, path, headers=headers) as response:
                    assert (response.status, (await problem_of(response))["code"]) == (401, "unauthorized"), (
                        path,
                        headers,
                    )
                    assert response.headers["WWW-Authenticate"].startswith("Bearer")
        for path in ("/livez", "/readyz"):
            async with http.get(path) as response:
                assert response.status == 200
        async with http.get("/", headers=as_bearer(key)) as response:
            assert response.status == 200


async def test_an_upload_without_a_key_is_refused_before_its_body_is_sent(settings):
    await added(settings, "laptop")
    sent = []

    async def body():
        sent.append(True)
        yield b"x"

    async with gateway(settings) as http, http.post("/v1/uploads", data=body(), expect100=True) as response:
        assert response.status == 401

    assert sent == []


async def test_a_made_up_cursor_does_not_tell_whether_another_tenant_has_a_job(settings):
    settings = settings.model_copy(update={"api_key": SecretStr(STATIC)})
    await publish(settings, {"k": "string"}, [("a",)], name="mine")
    theirs = await publish(settings, {"k": "string"}, [("a",)], name="mine", tenant="team")
    told = []
    async with gateway(settings) as http:
        for job_id in (theirs, new_id("job")):
            after = encode_cursor(Cursor(job_id, "0", 1))
            async with http.get(
                f"/v1/results/mine/rows?after={after}", headers=as_bearer(STATIC)
            ) as response:
                told.append((await problem_of(response)) | {"request_id": ""})

    assert told[0] == told[1]
    assert told[0]["code"] == "cursor_expired"


async def test_a_tenant_sees_its_own_jobs_uploads_and_results_only(settings):
    settings = settings.model_copy(update={"api_key": SecretStr(STATIC)})
    team, own = as_bearer(await added(settings, "team key", "--tenant", "team")), as_bearer(STATIC)
    theirs = await publish(settings, {"k": "string"}, [("a",)], name="sales", tenant="team")
    ours = await insert_job(settings)
    async with gateway(settings) as http:
        async with http.post("/v1/uploads", data=b"k\n1\n", headers=team) as response:
            upload = await response.json()
        async with http.post("/v1/jobs", json=spec_for(settings), headers=team) as response:
            submitted = (await response.json())["id"]
        stored = settings.storage / "uploads" / "team" / upload["id"]
        for path in (
            f"/v1/jobs/{theirs}",
            f"/v1/jobs/{theirs}/rows",
            f"/v1/jobs/{submitted}",
            "/v1/results/sales",
            f"/v1/uploads/{upload['id']}",
        ):
            async with http.get(path, headers=team) as seen, http.get(path, headers=own) as unseen:
                assert seen.status in {200, 409}, path
                assert (unseen.status, (await problem_of(unseen))["code"]) == (404, "not_found"), path
        for method, path in (
            ("POST", f"/v1/jobs/{submitted}/cancel"),
            ("DELETE", f"/v1/uploads/{upload['id']}"),
        ):
            async with http.request(method, path, headers=own) as response:
                assert response.status == 404
        async with http.get("/v1/jobs", headers=team) as listed:
            assert {job["id"] for job in (await listed.json())["items"]} == {theirs, submitted}
        async with http.get(f"/v1/jobs/{ours}", headers=team) as response:
            assert response.status == 404
        spec = spec_for(settings, source={"uris": [upload["uri"]]})
        async with http.post("/v1/jobs", json=spec, headers=own) as response:
            assert response.status == 422

    assert stored.read_bytes() == b"k\n1\n"


async def test_a_revoked_key_is_refused_and_revoking_the_last_one_opens_nothing(settings):
    key = await added(settings, "laptop")
    async with gateway(settings) as http, http.get("/v1/jobs", headers=as_bearer(key)) as response:
        assert response.status == 200
    _, said, _ = await keys(settings, "list")
    assert "used" in said
    assert (await keys(settings, "revoke", said.split()[0]))[0] == 0
    assert "revoked" in (await keys(settings, "list"))[1]
    async with gateway(settings) as http:
        async with http.get("/v1/jobs", headers=as_bearer(key)) as response:
            assert response.status == 401
        async with http.get("/v1/jobs") as response:
            assert response.status == 401


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("revoke", "key_nope"), 1, "There is no key key_nope"),
        (("add", "x", "--tenant", "../x"), 2, "a tenant is"),
        (("add", "x", "--tenant", "x" * 41), 2, "a tenant is"),
        (("add", "x", "--scope", "write"), 2, "'write'"),
        (("add", "x", "--expires", "soon"), 2, "such as 90s"),
        (("add", "x", "--expires", "0s"), 2, "such as 90s"),
        (("add", "x", "--job", "job_nope"), 1, "Tenant default has no job job_nope"),
        ((), 2, "required"),
    ],
)
async def test_a_wrong_command_is_refused_in_one_sentence(settings, words, code, said):
    answer = await keys(settings, *words)

    assert answer[:2] == (code, "")
    assert said in answer[2]
    assert "Traceback" not in answer[2]


@pytest.mark.parametrize("words", [("keys", "list"), ("verify",), ("migrate",)])
async def test_a_command_that_only_speaks_to_postgres_needs_no_other_setting(settings, words):
    code, _, complained = await command(settings, *words)

    assert code == 0, complained


async def test_the_gateway_says_which_setting_it_lacks(settings):
    code, _, complained = await command(settings, "serve")

    assert code == 2
    assert "GRISTMILL_REDIS_URL" in complained


async def test_the_first_key_says_which_requests_it_locks_out_and_the_next_one_does_not(settings):
    _, key, of_team = await keys(settings, "add", "team key", "--tenant", "team")
    _, _, of_default = await keys(settings, "add", "own key")

    assert "This is the first key" in of_team.splitlines()[0]
    assert "belongs to tenant default, which a key of tenant team does not open" in of_team
    assert "make a key without --tenant" in of_team
    assert re.fullmatch(r"gm_\S+\n", key)
    assert "first key" not in of_default


async def test_the_first_key_of_tenant_default_only_says_that_requests_need_one_now(settings):
    _, _, said = await keys(settings, "add", "own key")

    assert "This is the first key" in said
    assert "--tenant" not in said


async def test_beside_a_key_of_the_settings_the_first_key_locks_nothing_out(settings):
    _, _, said = await keys(settings, "add", "own key", GRISTMILL_API_KEY="gm_" + "k" * 40)
    _, listed, _ = await keys(settings, "ls")

    assert "first key" not in said
    assert "own key" in listed


async def test_a_database_that_is_away_is_said_in_one_sentence(settings):
    code, _, complained = await keys(settings, "list", GRISTMILL_DATABASE_URL="postgresql://x@127.0.0.1:1/x")

    assert code == 1
    [line] = complained.splitlines()
    assert line.startswith("Postgres cannot be reached: [Errno")
    assert "('127.0.0.1', 1)" in line
    assert line.endswith(". GRISTMILL_DATABASE_URL names it")


async def test_a_key_that_is_too_short_is_refused_without_being_shown(settings):
    code, _, complained = await command(
        settings, "serve", GRISTMILL_REDIS_URL=settings.redis_url, GRISTMILL_API_KEY="hunter2"
    )

    assert code == 2
    assert "GRISTMILL_API_KEY" in complained
    assert "hunter2" not in complained


def test_settings_never_show_the_key(settings):
    shown = Settings(**(settings.model_dump() | {"api_key": STATIC}))

    assert STATIC not in repr(shown)


async def test_a_gateway_with_a_key_may_bind_every_address_and_answers_under_any_name(settings):
    settings = settings.model_copy(update={"host": "0.0.0.0", "api_key": SecretStr(STATIC)})
    async with gateway(settings) as http:
        headers = as_bearer(STATIC) | {"Host": "gristmill.example", "Origin": "https://dashboard.example"}
        async with http.post("/v1/jobs", json=spec_for(settings), headers=headers) as response:
            assert response.status == 202
        async with http.get("/v1/jobs") as response:
            assert response.status == 401


async def test_a_gateway_that_others_reach_refuses_every_request_while_it_cannot_find_keys(settings):
    async with (
        gateway(settings.model_copy(update={"host": "0.0.0.0"})) as http,
        http.get("/v1/jobs") as response,
    ):
        assert response.status == 401


async def test_a_web_page_cannot_submit_to_a_gateway_without_keys(settings):
    forged = [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}]
    async with gateway(settings) as http:
        for headers in forged:
            async with http.post("/v1/jobs", json=spec_for(settings), headers=headers) as response:
                assert (response.status, (await problem_of(response))["code"]) == (
                    403,
                    "cross_site_request",
                ), headers
        async with http.get("/v1/jobs", headers={"Host": "evil.example"}) as response:
            assert response.status == 403
        async with http.post(
            "/v1/jobs", json=spec_for(settings), headers={"Sec-Fetch-Site": "none"}
        ) as response:
            assert response.status == 202


async def test_a_key_of_the_command_has_its_scopes_its_end_and_its_job(settings):
    job, other = await insert_job(settings), await insert_job(settings)
    whole = await added(settings, "laptop")
    narrow = await added(
        settings, "page", "--scope", "read", "--scope", "upload", "--expires", "15m", "--job", job
    )
    _, listed, _ = await keys(settings, "list")
    async with gateway(settings) as http:
        for key, path, status in (
            (whole, "/v1/keys", 200),
            (narrow, f"/v1/jobs/{job}", 200),
            (narrow, f"/v1/jobs/{other}", 404),
            (narrow, "/v1/keys", 403),
        ):
            async with http.get(path, headers=as_bearer(key)) as response:
                assert response.status == status, path

    first, second = listed.splitlines()
    assert "  admin  made" in first
    assert f"  read,upload  {job}  made" in second
    assert "  ends 20" in second
