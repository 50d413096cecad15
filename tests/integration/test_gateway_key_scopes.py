"""Keys over HTTP: their scopes, the keys that they make, their ends, and the one job of some."""

import asyncio
from datetime import datetime, timedelta

import httpx2
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from api_service.auth.rights import SCOPES
from api_service.routes import OPERATIONS
from api_service.server import serving
from shared.ids import new_id
from tests.support.gateway import database, gateway, insert_job, problem_of, spec_for

OWNER = "s" * 40
INCLUDES = {
    "read": {"read"},
    "upload": {"upload"},
    "submit": {"read", "submit", "upload"},
    "admin": {"admin", "read", "submit", "upload"},
}
NEEDING = [
    operation for operation in OPERATIONS if operation.scope is not None and operation.method != "HEAD"
]
"""A HEAD has no body that could tell of a problem."""


def as_bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def closed(settings):
    """The settings of a gateway with a key."""
    return settings.model_copy(update={"api_key": SecretStr(OWNER)})


async def make(http, maker: str = OWNER, **wish) -> dict:
    async with http.post("/v1/keys", json=wish, headers=as_bearer(maker)) as response:
        assert response.status == 201, await response.text()
        made = await response.json()
        assert response.headers["Location"] == f"/v1/keys/{made['id']}"
        return made


async def told(http, method: str, path: str, key: str, **request) -> tuple[int, str | None]:
    """Status, and the code of a problem."""
    async with http.request(method, path, headers=as_bearer(key), **request) as response:
        if response.status < 400:
            return response.status, None
        return response.status, (await problem_of(response))["code"]


def path_of(operation, job: str) -> str:
    head, brace, tail = operation.path.partition("{")
    return head + job + tail.rpartition("}")[2] if brace else head


@pytest.mark.parametrize("scope", SCOPES)
async def test_every_request_that_needs_another_scope_is_refused_before_its_body(closed, scope):
    async with gateway(closed) as http:
        key = await make(http, scopes=[scope])
        for operation in NEEDING:
            if operation.scope in INCLUDES[scope]:
                continue
            async with http.request(
                operation.method, path_of(operation, "job_x"), headers=as_bearer(key["key"])
            ) as response:
                problem = await problem_of(response)
                assert (response.status, problem["code"]) == (403, "forbidden"), operation.path
                assert f"needs the scope {operation.scope}" in problem["detail"]
                assert f"the key {key['id']} has {scope};" in problem["detail"]


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [
        ("read", [200, 403, 403, 403]),
        ("upload", [403, 201, 403, 403]),
        ("submit", [200, 201, 202, 200]),
        ("admin", [200, 201, 202, 200]),
    ],
)
async def test_a_scope_opens_its_requests(closed, scope, statuses):
    async with gateway(closed) as http:
        key = (await make(http, scopes=[scope]))["key"]
        requests = [
            ("GET", "/v1/jobs", {}),
            ("POST", "/v1/uploads", {"data": b"k\n1\n"}),
            ("POST", "/v1/jobs", {"json": spec_for(closed)}),
            ("GET", "/v1/keys", {}),
        ]
        assert [(await told(http, method, path, key, **with_))[0] for method, path, with_ in requests] == (
            statuses
        )


async def test_a_key_of_one_job_reads_it_and_sees_no_other(closed):
    mine, other = await insert_job(closed), await insert_job(closed)
    async with gateway(closed) as http:
        key = (await make(http, scopes=["read"], job=mine))["key"]
        whole = (await make(http, scopes=["admin"], job=mine))["key"]
        for operation in NEEDING:
            if not operation.of_job:
                for each in (key, whole):
                    assert await told(http, operation.method, path_of(operation, "x"), each) == (
                        403,
                        "forbidden",
                    ), operation.path
            elif operation.method == "GET":
                for job in (other, new_id("job")):
                    assert await told(http, "GET", path_of(operation, job), key) == (404, "not_found")
        assert await told(http, "GET", f"/v1/jobs/{mine}", key) == (200, None)
        assert await told(http, "GET", f"/v1/jobs/{mine}/quarantine", key) == (200, None)
        assert await told(http, "GET", f"/v1/jobs/{mine}/rows", key) == (409, "not_ready")
        assert await told(http, "POST", f"/v1/jobs/{mine}/cancel", key) == (403, "forbidden")
        assert await told(http, "POST", f"/v1/jobs/{mine}/pause", whole) == (202, None)
        assert await told(http, "GET", "/v1/nothing", key) == (404, "not_found")


async def test_another_job_is_refused_to_a_key_of_one_job_as_one_that_does_not_exist(closed):
    mine, other = await insert_job(closed), await insert_job(closed)
    nowhere = new_id("job")
    details = []
    async with gateway(closed) as http:
        key = (await make(http, scopes=["read"], job=mine))["key"]
        for job, with_key in ((other, key), (nowhere, key), (nowhere, OWNER)):
            async with http.get(f"/v1/jobs/{job}", headers=as_bearer(with_key)) as response:
                details.append((await problem_of(response))["detail"].replace(job, "…"))

    assert len({*details}) == 1


async def test_a_key_is_shown_once_and_listed_with_all_but_its_text(closed):
    job = await insert_job(closed)
    async with gateway(closed) as http:
        web = await make(http, name="web", scopes=["submit"])
        made = await make(http, web["key"], name="page", scopes=["read"], job=job, expires="15m")
        assert await told(http, "GET", f"/v1/jobs/{job}", made["key"]) == (200, None)
        async with http.get(f"/v1/keys/{made['id']}", headers=as_bearer(OWNER)) as response:
            shown = await response.json()
    async with database(closed) as connection:
        stored = str(await connection.fetch("SELECT * FROM gristmill.api_keys"))

    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lasts == timedelta(minutes=15)
    assert shown.pop("last_used_at") is not None
    key = made.pop("key")
    assert made.pop("last_used_at") is None
    assert shown == made
    assert shown | {"id": "", "created_at": "", "expires_at": ""} == {
        "id": "",
        "name": "page",
        "scopes": ["read"],
        "job": job,
        "parent": web["id"],
        "created_at": "",
        "expires_at": "",
        "revoked_at": None,
    }
    assert key[3:] not in stored


async def test_admin_lists_all_keys_of_its_tenant_by_pages_and_another_key_those_that_it_made(closed):
    async with gateway(closed) as http:
        web = await make(http, name="web", scopes=["submit"])
        other = await make(http, name="other", scopes=["submit"])
        mine = [await make(http, web["key"], scopes=["read"]) for _ in range(3)]
        pages, after = [], ""
        while after is not None:
            async with http.get(f"/v1/keys?limit=2{after}", headers=as_bearer(OWNER)) as response:
                page = await response.json()
            pages.append([key["id"] for key in page["items"]])
            after = page["next"] and f"&after={page['next']}"
        async with http.get("/v1/keys", headers=as_bearer(web["key"])) as response:
            own = [key["id"] for key in (await response.json())["items"]]
        assert await told(http, "GET", f"/v1/keys/{other['id']}", web["key"]) == (404, "not_found")
        assert await told(http, "DELETE", f"/v1/keys/{other['id']}", web["key"]) == (404, "not_found")
        assert await told(http, "DELETE", f"/v1/keys/{web['id']}", web["key"]) == (404, "not_found")
        assert await told(http, "GET", "/v1/keys?after=x", OWNER) == (400, "invalid_cursor")

    newest_first = sorted([web["id"], other["id"], *(key["id"] for key in mine)], reverse=True)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [key for page in pages for key in page] == newest_first
    assert own == sorted((key["id"] for key in mine), reverse=True)


async def test_another_tenant_sees_none_of_the_keys(closed):
    async with gateway(closed) as http:
        theirs = await make(http, scopes=["admin"])
        ours = await make(http, scopes=["admin"])
        async with database(closed) as connection:
            await connection.execute(
                "UPDATE gristmill.api_keys SET tenant = 'team' WHERE id = $1", theirs["id"]
            )
        made = await make(http, theirs["key"], scopes=["read"])
        assert await told(http, "DELETE", f"/v1/keys/{ours['id']}", theirs["key"]) == (404, "not_found")
        async with http.get("/v1/keys", headers=as_bearer(theirs["key"])) as response:
            assert {key["id"] for key in (await response.json())["items"]} == {theirs["id"], made["id"]}


async def test_a_revoked_key_ends_at_once_with_all_that_it_made_and_no_other(closed):
    async with gateway(closed) as http:
        web = await make(http, scopes=["submit"])
        user = await make(http, web["key"], scopes=["submit"], expires="1h")
        page = await make(http, user["key"], scopes=["read"], expires="5m")
        other = await make(http, scopes=["read"])
        for key in (web, user, page, other):
            assert (await told(http, "GET", "/v1/jobs", key["key"]))[0] == 200
        for _ in range(2):
            assert await told(http, "DELETE", f"/v1/keys/{web['id']}", OWNER) == (204, None)
        for key in (web, user, page):
            assert await told(http, "GET", "/v1/jobs", key["key"]) == (401, "unauthorized")
        assert await told(http, "GET", "/v1/jobs", other["key"]) == (200, None)
        async with http.get("/v1/keys", headers=as_bearer(OWNER)) as response:
            ended = {key["id"]: key["revoked_at"] for key in (await response.json())["items"]}
    async with gateway(closed) as again:
        assert await told(again, "GET", "/v1/jobs", page["key"]) == (401, "unauthorized")

    assert ended[web["id"]] is not None
    assert ended[web["id"]] == ended[user["id"]] == ended[page["id"]]
    assert ended[other["id"]] is None


async def test_a_key_revokes_one_that_it_made(closed):
    async with gateway(closed) as http:
        web = await make(http, scopes=["submit"])
        page = await make(http, web["key"], scopes=["read"])
        assert await told(http, "DELETE", f"/v1/keys/{page['id']}", web["key"]) == (204, None)
        assert await told(http, "GET", "/v1/jobs", page["key"]) == (401, "unauthorized")
        assert await told(http, "GET", "/v1/jobs", web["key"]) == (200, None)


async def test_an_expired_key_is_refused(closed):
    async with gateway(closed) as http:
        key = await make(http, scopes=["read"], expires="15m")
        async with database(closed) as connection:
            await connection.execute("UPDATE gristmill.api_keys SET expires_at = now()")
        assert await told(http, "GET", "/v1/jobs", key["key"]) == (401, "unauthorized")


async def test_a_key_that_is_in_use_is_refused_as_soon_as_it_expires(closed):
    """Not when the gateway asks the database again, up to 30 seconds later."""
    async with gateway(closed) as http:
        key = await make(http, scopes=["read"], expires="1s")
        ends = asyncio.get_running_loop().time() + 5
        while (status := (await told(http, "GET", "/v1/jobs", key["key"]))[0]) == 200:
            assert asyncio.get_running_loop().time() < ends
        assert status == 401


async def test_a_key_lasts_no_longer_than_its_maker(closed):
    async with gateway(closed) as http:
        maker = await make(http, scopes=["admin"], expires="10m")
        for wish in ({"expires": "1h"}, {}):
            made = await make(http, maker["key"], scopes=["read"], **wish)
            assert made["expires_at"] == maker["expires_at"]
        sooner = await make(http, maker["key"], scopes=["read"], expires="1m")
        assert sooner["expires_at"] < maker["expires_at"]


@pytest.mark.parametrize(
    ("wish", "status", "code", "pointer"),
    [
        ({"scopes": ["read"], "expires": "2d"}, 403, "forbidden", None),
        ({"scopes": ["admin"]}, 403, "forbidden", None),
        ({"scopes": []}, 422, "invalid_body", "#/scopes"),
        ({}, 422, "invalid_body", "#/scopes"),
        ({"scopes": ["write"]}, 422, "invalid_body", "#/scopes/0"),
        ({"scopes": ["read"], "tenant": "team"}, 422, "invalid_body", "#/tenant"),
        ({"scopes": ["read"], "expires": "soon"}, 422, "invalid_body", "#/expires"),
        ({"scopes": ["read"], "expires": "0s"}, 422, "invalid_body", "#/expires"),
        ({"scopes": ["read"], "job": "x\x00"}, 422, "invalid_body", "#/job"),
        ({"scopes": ["read"], "job": new_id("job")}, 422, "invalid_body", "#/job"),
        ({"scopes": ["read"], "name": "a\x00b"}, 422, "invalid_body", "#/name"),
        ([], 422, "invalid_body", "#"),
    ],
)
async def test_a_key_that_cannot_be_made_is_refused_with_the_place_at_fault(
    closed, wish, status, code, pointer
):
    async with gateway(closed) as http:
        maker = await make(http, scopes=["submit"])
        async with http.post("/v1/keys", json=wish, headers=as_bearer(maker["key"])) as response:
            problem = await problem_of(response)
        async with http.post(
            "/v1/keys", data=b"{", headers=as_bearer(maker["key"]) | {"Content-Type": "application/json"}
        ) as response:
            assert (await problem_of(response))["code"] == "malformed_json"

    assert (problem["status"], problem["code"]) == (status, code)
    assert [error["pointer"] for error in problem["errors"]] == ([pointer] if pointer else [])


async def test_the_first_key_over_http_is_a_lasting_admin_and_closes_the_gateway_at_once(settings):
    async with gateway(settings) as http:
        for wish in (
            {"scopes": ["upload"], "expires": "15m"},
            {"scopes": ["admin"], "expires": "15m"},
            {"scopes": ["read", "admin"]},
        ):
            async with http.post("/v1/keys", json=wish) as response:
                assert (response.status, (await problem_of(response))["code"]) == (409, "invalid_state")
        async with http.get("/v1/jobs") as response:
            assert response.status == 200
        async with http.post("/v1/keys", json={"scopes": ["admin"]}) as response:
            key = (await response.json())["key"]
        async with http.get("/v1/jobs") as response:
            assert response.status == 401
        assert await told(http, "GET", "/v1/keys", key) == (200, None)


WISHES = st.fixed_dictionaries(
    {"maker": st.integers(0, 5), "scopes": st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3)},
    optional={"expires": st.sampled_from(["1m", "2h", "1d", "30d"]), "of_job": st.booleans()},
)


async def test_no_key_gets_a_right_that_its_maker_has_not(closed):
    jobs = [await insert_job(closed), await insert_job(closed)]
    async with serving(closed) as url:
        await asyncio.to_thread(no_key_gets_a_right_that_its_maker_has_not, url, jobs)


def no_key_gets_a_right_that_its_maker_has_not(url, jobs):
    """Random trees of keys, asked over HTTP for all that they may; needs a thread of its own."""
    probes = [
        ("GET", "/v1/jobs"),
        *(("GET", f"/v1/jobs/{job}") for job in jobs),
        *(("POST", f"/v1/jobs/{job}/resume") for job in jobs),
        ("GET", "/v1/uploads/upl_none"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/keys"),
    ]

    with httpx2.Client(base_url=url) as http:

        def may(key: str) -> set[tuple[str, str]]:
            told = {
                probe: http.request(
                    *probe, headers=as_bearer(key), content=b"" if probe[0] == "POST" else None
                )
                for probe in probes
            }
            return {
                probe
                for probe, answer in told.items()
                if answer.status_code not in {401, 403}
                and not (probe[1].startswith("/v1/jobs/job_") and answer.status_code == 404)
            }

        def is_admin(key: str) -> bool:
            """An admin sees keys that others made."""
            return any(
                each["name"] == "mark"
                for each in http.get("/v1/keys", headers=as_bearer(key)).json()["items"]
            )

        @hypothesis_settings(max_examples=12)
        @given(st.lists(WISHES, min_size=2, max_size=5))
        def check(wishes):
            made = [(OWNER, may(OWNER), None, True)]
            for wish in wishes:
                maker, rights, ends, admin = made[wish["maker"] % len(made)]
                body = {name: wish[name] for name in ("scopes", "expires") if name in wish}
                if wish.get("of_job"):
                    body["job"] = jobs[0]
                answer = http.post("/v1/keys", json=body, headers=as_bearer(maker))
                if answer.status_code == 422:
                    assert "job" in body
                    assert set(body["scopes"]) == {"upload"}, answer.text
                    continue
                if answer.status_code != 201:
                    assert answer.status_code == 403, answer.text
                    assert maker != OWNER
                    continue
                key = answer.json()
                mark = http.post(
                    "/v1/keys", json={"scopes": ["read"], "name": "mark"}, headers=as_bearer(OWNER)
                )
                assert mark.status_code == 201
                seen = may(key["key"])
                sees_others = ("GET", "/v1/keys") in seen and is_admin(key["key"])
                assert seen <= rights
                assert admin or not sees_others
                assert ends is None or key["expires_at"] <= ends
                assert "admin" in key["scopes"] or not sees_others
                made.append((key["key"], seen, key["expires_at"], sees_others))

        check()
