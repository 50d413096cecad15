"""The OpenAPI document: valid, in step with the routes, and kept by the running gateway."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api_service.app import build_app
from api_service.app_keys import PAGE_HANDLERS
from shared.spec.models import JobSpec
from tests.support.gateway import gateway, serving

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
UNLESS_FUZZED = ["--exclude-path-regex", "^/docs|^/v1/tus"]
"""Files of a page, and a protocol of its own, whose bodies are no JSON."""


async def document(settings) -> dict:
    async with gateway(settings) as http, http.get("/openapi.json") as response:
        assert response.status == 200
        return await response.json()


async def test_the_document_is_valid_and_needs_no_key(settings):
    found = await document(settings)
    OpenAPIV31SpecValidator(found).validate()
    assert found["openapi"].startswith("3.1")


async def test_the_document_has_every_route_and_no_other(settings):
    app = build_app(settings)
    routed = {
        (route.resource.canonical, route.method.lower())
        for route in app.router.routes()
        if route.method != "HEAD" and route.handler not in app[PAGE_HANDLERS]
    }
    described = {
        (path, method)
        for path, methods in (await document(settings))["paths"].items()
        for method in methods
        if method != "head"
    }
    assert described == routed


async def test_every_operation_has_its_own_id_and_a_body_its_example(settings):
    operations = [op for methods in (await document(settings))["paths"].values() for op in methods.values()]
    ids = [op["operationId"] for op in operations]
    assert len(ids) == len(set(ids))
    bodies = [op["requestBody"]["content"] for op in operations if "requestBody" in op]
    kinds = [kind for body in bodies for media, kind in body.items() if media.endswith("json")]
    assert len(kinds) > 4
    assert [kind for kind in kinds if "example" not in kind] == []
    submit = (await document(settings))["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    JobSpec.model_validate_json(json.dumps(submit["application/json"]["example"]))


async def test_the_page_loads_its_own_files_only(settings):
    async with gateway(settings) as http:
        async with http.get("/docs") as response:
            page, policy = await response.text(), response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "http" not in page.replace("http-equiv", "").split("<body>")[0].replace("HTTP", "")
        for name in ("docs/swagger-ui-bundle.js", "docs/swagger-ui.css", "docs/docs.js"):
            assert f'"{name}"' in page
            async with http.get(f"/{name}") as response:
                assert response.status == 200
        async with http.get("/docs/other.js") as response:
            assert response.status == 404


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "examples", [pytest.param(3, id="few"), pytest.param(40, marks=pytest.mark.full, id="many")]
)
async def test_every_answer_is_one_that_the_document_tells_of(settings, tmp_path, examples):
    async with serving(settings) as url:
        process = await asyncio.create_subprocess_exec(
            SCHEMATHESIS,
            "run",
            f"{url}/openapi.json",
            *UNLESS_FUZZED,
            *("--checks", "not_a_server_error,status_code_conformance,content_type_conformance"),
            *("--max-examples", str(examples), "--seed", "1", "--no-color"),
            *("--phases", "examples,fuzzing"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()[-6000:]
