"""Every URL of an answer begins with GRISTMILL_PUBLIC_URL; what proxies say counts if they are trusted."""

import ast
import re
from pathlib import Path

import pytest
import structlog.testing
from pydantic import SecretStr

import api_service
from shared.addresses import network
from tests.support.gateway import gateway, insert_job, problem_of, publish, spec_for

BASE = "https://app.example/gristmill"
KEY = "s" * 40

URL = re.compile(r'(?:href|src|action|hx-get|connect)="([^"]*)"')


@pytest.fixture(params=[None, BASE])
def based(request, settings):
    return settings.model_copy(update={"public_url": request.param})


async def test_locations_links_and_instances_begin_with_the_public_url(based):
    base = based.public_url or ""
    job = await publish(based, {"k": "string"}, [("a",)], name="sales")
    async with gateway(based) as http:
        async with http.post("/v1/jobs", json=spec_for(based)) as response:
            made = await response.json()
            assert response.headers["Location"] == made["links"]["self"] == f"{base}/v1/jobs/{made['id']}"
        async with http.post(f"/v1/jobs/{made['id']}/cancel") as response:
            assert response.headers["Location"] == f"{base}/v1/jobs/{made['id']}"
        async with http.post("/v1/uploads", data=b"x") as response:
            upload = await response.json()
            assert response.headers["Location"] == f"{base}/v1/uploads/{upload['id']}"
        async with http.get(f"/v1/jobs/{job}") as response:
            links = (await response.json())["links"]
        async with http.get("/v1/results/sales") as response:
            result = (await response.json())["links"]
        async with http.get("/v1/jobs") as response:
            listed = {item["id"]: item["links"] for item in (await response.json())["items"]}
        async with http.get("/v1/jobs/job_x") as response:
            assert (await problem_of(response))["instance"] == f"{base}/v1/jobs/job_x"
        shown = {}
        for path in ("/", "/jobs", f"/jobs/{job}", "/results", "/results/sales", "/new", "/workers"):
            async with http.get(path) as response:
                assert response.status == 200, path
                shown[path] = re.findall(
                    r'(?:href|src|action|hx-get|connect)="([^"]*)"', await response.text()
                )
        async with http.post("/v1/keys", json={"scopes": ["admin"]}) as response:
            key = await response.json()
            assert response.headers["Location"] == f"{base}/v1/keys/{key['id']}"

    parts = {
        "self": "",
        "rows": "/rows",
        "receipt": "/receipt",
        "quarantine": "/quarantine",
        **{part: f"/{part}" for part in ("events", "units", "history", "cancel", "pause", "resume", "retry")},
    }
    assert links == listed[job] == {name: f"{base}/v1/jobs/{job}{part}" for name, part in parts.items()}
    assert result == {
        "self": f"{base}/v1/results/sales",
        "rows": f"{base}/v1/results/sales/rows",
        "job": f"{base}/v1/jobs/{job}",
    }
    for path, found in shown.items():
        assert f"{base}/jobs" in found, path
        others = [url for url in found if not url.startswith(("#", f"{base}/"))]
        assert others == [], path


def paths_without_a_link(source: str) -> list[int]:
    """The lines with a path of the gateway that is not given to `link`, or `request.app[LINKS]`."""
    tree = ast.parse(source)
    linked = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (ast.unparse(node.func) == "link" or ast.unparse(node.func).endswith("[LINKS]"))
        for argument in node.args
        for part in ast.walk(argument)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and str(node.value).startswith("/v1/") and id(node) not in linked
    ]


def test_no_answer_has_a_path_that_does_not_pass_the_one_function():
    root = Path(api_service.__file__).parent
    files = [*root.glob("wire/*.py"), *root.glob("handlers/*.py"), *root.glob("services/*.py")]
    found = {str(file): lines for file in files if (lines := paths_without_a_link(file.read_text()))}

    assert found == {}
    assert paths_without_a_link('a = f"/v1/jobs/{x}"\nb = link(f"/v1/jobs/{x}")') == [1]


async def test_the_log_names_the_client_that_a_trusted_proxy_tells(settings):
    closed = settings.model_copy(update={"api_key": SecretStr(KEY)})
    sent = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    told = []
    for trusted in ([], [network("127.0.0.1")]):
        behind = closed.model_copy(update={"trusted_proxies": trusted})
        with structlog.testing.capture_logs() as lines:
            async with gateway(behind) as http, http.get("/v1/jobs", headers=sent) as response:
                assert response.status == 401
        told += [(line["client"], line["scheme"]) for line in lines if line["event"] == "request"]

    assert told == [("127.0.0.1", "http"), ("203.0.113.9", "https")]


async def test_without_keys_a_trusted_proxy_opens_the_gateway_to_its_own_machine_only(settings):
    job = await insert_job(settings)
    behind = settings.model_copy(update={"trusted_proxies": [network("127.0.0.1")]})
    async with gateway(behind) as http:
        for headers, status in (
            ({}, 200),
            ({"X-Forwarded-For": "127.0.0.1"}, 200),
            ({"X-Forwarded-For": "203.0.113.9"}, 401),
            ({"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}, 401),
            ({"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=127.0.0.1"}, 401),
            ({"Forwarded": "for=unknown"}, 401),
        ):
            async with http.get(f"/v1/jobs/{job}", headers=headers) as response:
                assert response.status == status, headers
        async with http.get("/livez", headers={"X-Forwarded-For": "203.0.113.9"}) as response:
            assert response.status == 200
    async with (
        gateway(settings) as http,
        http.get("/", headers={"X-Forwarded-For": "203.0.113.9"}) as response,
    ):
        assert response.status == 200, "headers of a proxy that is not trusted count for nothing"
