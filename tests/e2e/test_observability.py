"""The code of docs/observability.md: its commands are run, its YAML fits the files that it belongs to."""

import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx2
import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gristmill.launcher.servers import free_port
from shared.settings import Settings
from tests.integration.test_tracing import collector  # noqa: F401  # a fixture
from tests.support.databases import own_database
from tests.support.shown import blocks, curl
from tests.support.stack import Stack, eventually

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "observability.md").read_text()
SERVE, ASK, TRACED = blocks(PAGE, "sh")
OVERRIDE, SCRAPE = map(yaml.safe_load, blocks(PAGE, "yaml"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PORT, COLLECTOR = "9108", "http://127.0.0.1:4318"


@contextmanager
def started(command: str, stack: Stack):
    """A command of the page, with the settings of *stack*; its log is in the file that is lent."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    log = stack.folder / f"{shlex.split(command)[-1]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-ec", f"exec env {command}"], env=stack.env | {"PATH": path}, stdout=output, stderr=output
        )
    try:
        yield log
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


def up(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False


def test_metrics_are_shown_and_spans_exported_as_the_commands_say(
    postgres,
    redis_server,
    tmp_path,
    collector,  # noqa: F811
):
    endpoint, got = collector
    assert (PORT in SERVE, PORT in ASK, COLLECTOR in TRACED) == (True, True, True)
    port = str(free_port())
    with own_database(postgres, "observability") as dsn:
        stack = Stack(dsn, redis_server.rpartition("/")[0] + "/6", tmp_path)
        serve, ask = (block.replace(PORT, port) for block in (SERVE, ASK))
        with started(serve, stack), started(TRACED.replace(COLLECTOR, endpoint), stack) as log:
            eventually(lambda: up(f"http://127.0.0.1:{stack.port}/readyz"), "the gateway's readiness")
            job = stack.run({"source": {"uris": [stack.write("a.csv", "k\na\n")]}, "group_by": ["k"],
                             "aggregates": [{"fn": "count"}]})  # fmt: skip
            assert job["state"] == "succeeded", job["error"]
            shown = curl(shlex.split(ask)[1:], tmp_path)
        stack.close()

    assert 'gristmill_jobs_submitted_total{kind="job"} 1.0' in shown
    table = re.findall(
        r"^\| `(gristmill_\w+)` \| \w+ \|[^|]*\| (?:gateway|gateway, worker) \|", PAGE, re.MULTILINE
    )
    assert len(table) > 10
    assert [name for name in table if f"# TYPE {name} " not in shown] == []
    assert "tracing.on" in log.read_text()
    spans = [
        span.name
        for path, body in got
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if path == "/v1/traces"
    ]
    assert {"plan", "chunk", "publish"} <= {*spans}


def test_the_override_of_the_containers_names_their_services_and_settings():
    assert {*OVERRIDE["services"]} <= {*COMPOSE}
    for service in OVERRIDE["services"].values():
        assert service == {
            "environment": {"GRISTMILL_METRICS_PORT": PORT, "GRISTMILL_METRICS_HOST": "0.0.0.0"}
        }
        assert {name.removeprefix("GRISTMILL_").lower() for name in service["environment"]} <= {
            *Settings.model_fields
        }


def test_the_scrapes_find_the_rules_and_the_services_of_the_containers():
    assert SCRAPE["rule_files"] == ["alerts.yml"]
    rules = (ROOT / "deploy" / "alerts.yml").read_text()
    jobs = [each["job_name"] for each in SCRAPE["scrape_configs"]]
    assert jobs == ["gristmill-gateway", "gristmill-worker"]
    assert {*re.findall(r'\bjob=~?"([^"]*)"', rules)} <= {*jobs}
    targets = [target for each in SCRAPE["scrape_configs"] for target in each["static_configs"][0]["targets"]]
    assert {target.rpartition(":")[2] for target in targets} == {PORT}
    found = re.findall(r"`dns_sd_configs: (\[.*?\])`", PAGE)
    [configs] = map(yaml.safe_load, found)
    named = [*configs[0]["names"], *yaml.safe_load(re.search(r"`(names: \[api\])`", PAGE)[1])["names"]]
    assert named == ["worker", "api"]
    assert {*named} <= {*COMPOSE}
    assert (configs[0]["type"], configs[0]["port"]) == ("A", int(PORT))
