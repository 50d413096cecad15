"""Attacks of docs/security.md that no other test tries."""

import io
import json
import time
import zipfile

import asyncpg
import pytest

from shared.db import statements
from tests.support.gateway import gateway, problem_of, spec_for

ELSEWHERE = [
    "https://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:8080/v1/jobs",
    "http://[::ffff:127.0.0.1]/x.csv",
    "https://example.com/a.csv",
    "s3://bucket/a.csv",
    "gs://bucket/a.csv",
    "ftp://example.com/a.csv",
    "smb://host/share/a.csv",
    "data:text/csv,a",
]
REFUSED = {"not_supported", "source_not_allowed", "invalid_spec"}
UPWARDS = ["file:///a\x00b", "file:///data/../etc/passwd", "file:///data/%2e%2e/x", r"\\host\x"]


async def refused(settings, uri: str) -> None:
    spec = spec_for(settings, source={"uris": [uri]})
    async with gateway(settings) as http:
        async with http.post("/v1/jobs", json=spec) as response:
            assert response.status == 422
            assert (await problem_of(response))["code"] in REFUSED
        async with http.get("/v1/jobs") as response:
            assert (await response.json())["items"] == []


@pytest.mark.parametrize("uri", ELSEWHERE)
async def test_no_source_leads_to_another_host(settings, uri):
    await refused(settings, uri)


@pytest.mark.parametrize("uri", UPWARDS)
async def test_no_uri_has_a_nul_or_a_step_upwards(settings, uri):
    await refused(settings, uri)


async def test_no_statement_depends_on_the_search_path(database_url):
    found = [each for each in vars(statements).values() if isinstance(each, statements.Statements)]
    connection = await asyncpg.connect(database_url, server_settings={"search_path": ""})
    try:
        for statement in (each for of in found for each in of.by_name.values()):
            await connection.prepare(statement.sql)
    finally:
        await connection.close()
    assert len(found) > 10


async def test_health_checks_tell_no_address_and_no_secret(settings):
    password = settings.database_url.split(":")[2].split("@")[0]
    host = settings.database_url.rpartition("@")[2].partition("/")[0]
    away = settings.model_copy(update={"database_url": settings.database_url.replace(host, "127.0.0.1:1")})
    for each in (settings, away):
        async with gateway(each) as http:
            for path in ("/livez", "/readyz"):
                async with http.get(path) as response:
                    said = await response.text() + str(response.headers)
                assert not [text for text in (password, host, "127.0.0.1:1", "postgresql:") if text in said]


def test_a_zip_file_in_a_zip_file_is_refused(stack):
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.csv", "k\n" + "a\n" * 100_000)
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("inner.zip", inner.getvalue())
    uri = stack.http.post("/v1/uploads", content=outer.getvalue()).json()["uri"]
    job = stack.run({"source": {"uris": [uri]}, "group_by": ["k"], "aggregates": [{"fn": "count"}]})
    assert job["error"]["code"] in {"not_supported", "corrupt_file"}


def test_a_pattern_that_backtracking_engines_never_end_takes_no_time(stack):
    uri = stack.write("security-pattern.csv", "k\n" + ("a" * 5000 + "b\n") * 20)
    spec = {
        "source": {"uris": [uri]},
        "where": "matches(k, '^(a+)+$')",
        "group_by": ["k"],
        "aggregates": [{"fn": "count"}],
    }
    begun = time.monotonic()
    job = stack.run(spec)
    assert job["state"] == "succeeded", job["error"]
    assert job["result"]["rows"] == 0
    assert time.monotonic() - begun < 30


def test_json_of_countless_brackets_is_malformed_at_each_endpoint(stack):
    deep = b"[" * 60_000
    for path in ("/v1/jobs", "/v1/plans", "/v1/keys"):
        answer = stack.http.post(path, content=deep, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, answer.text
        assert json.loads(answer.text)["code"] == "malformed_json"
