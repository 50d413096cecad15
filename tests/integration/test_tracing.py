"""Spans of OpenTelemetry around a real job, and their absence without the extra."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from shared import tracing
from tests.support.databases import own_database
from tests.support.gateway import gateway
from tests.support.stack import running
from worker_service.executors.processes.pool import ProcessExecutor
from worker_service.worker import serve

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = PARENT.split("-")[1]
TEXT = "k,v\n" + "".join(f"{n % 7},{n}\n" for n in range(5000))


def spec(uri: str, **options) -> dict:
    return {
        "source": {"uris": [uri], "types": {"v": "int64"}},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "v"}],
        "options": {"chunk_bytes": 10_000, **options},
    }


@pytest.fixture
def spans():
    """All spans of this process while a test runs."""
    exporter = InMemorySpanExporter()
    tracing.use("test", SimpleSpanProcessor(exporter))
    yield exporter
    tracing.close()


@asynccontextmanager
async def service(settings):
    """A gateway and a worker in this process, with children of its own; yields a client session."""
    executor = ProcessExecutor(settings.slots, settings.slot_memory_bytes)
    executor.prepare()
    async with gateway(settings) as http:
        worker = asyncio.create_task(serve(settings, executor))
        try:
            yield http
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await worker


async def ended(http, body: dict) -> dict:
    headers = {"traceparent": PARENT, "Prefer": "wait=60"}
    async with http.post("/v1/jobs", json=body, headers=headers) as answer:
        return await answer.json()


async def test_one_trace_has_the_request_all_units_and_each_copy(settings, spans, tmp_path):
    settings = settings.model_copy(update={"min_chunk_bytes": 1})
    (tmp_path / "data" / "a.csv").write_text(TEXT + "1,bad\n")
    async with service(settings) as http:
        job = await ended(http, spec(f"file://{tmp_path}/data/a.csv", on_bad_row="quarantine"))
    assert job["state"] == "succeeded", job["error"]
    found = [span for span in spans.get_finished_spans() if format_trace_id(span.context.trace_id) == TRACE]
    by_id = {span.context.span_id: span for span in found}
    [request] = [span for span in found if span.name == "POST /v1/jobs"]
    units = [span for span in found if "gristmill.unit" in span.attributes]
    copies = [span for span in found if span.name == "COPY"]

    assert format_span_id(request.parent.span_id) == PARENT[36:52]
    assert request.attributes["http.response.status_code"] == 200
    kinds = Counter(span.name for span in units)
    assert kinds == {"plan": 1, "chunk": job["progress"]["chunks"]["total"], "merge": 1, "publish": 1}
    assert all(span.parent.span_id == request.context.span_id for span in units)
    assert {span.attributes["gristmill.job"] for span in units} == {job["id"]}
    assert {(by_id[span.parent.span_id].name, span.attributes["db.collection.name"]) for span in copies} == {
        ("chunk", "gristmill.partials"),
        ("chunk", "gristmill.quarantine"),
        ("merge", f"gristmill_results.{job['id']}"),
    }
    assert len(found) == 1 + len(units) + len(copies)


async def test_the_error_that_ends_a_unit_is_in_its_span(settings, spans, tmp_path):
    (tmp_path / "data" / "a.csv").write_text("k,v\n1,bad\n")
    async with service(settings) as http:
        job = await ended(http, {**spec(f"file://{tmp_path}/data/a.csv"), "options": {}})
    assert job["state"] == "failed"
    [chunk] = [span for span in spans.get_finished_spans() if span.name == "chunk"]

    assert chunk.status.status_code is StatusCode.ERROR
    assert "bad" in chunk.events[0].attributes["exception.message"]


@pytest.fixture
def collector():
    """A receiver of OTLP over HTTP; yields its URL and the requests that it got."""
    got = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """The test looks at the requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", got
        server.shutdown()
        thread.join()


def test_the_standard_variables_make_both_programs_export(postgres, redis_server, tmp_path, collector):
    """The last spans go out before a program ends."""
    endpoint, got = collector
    redis = redis_server.rpartition("/")[0] + "/8"
    asked = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_RESOURCE_ATTRIBUTES": "region=here",
    }
    with own_database(postgres, "traced") as dsn:
        with running(dsn, redis, tmp_path, **asked) as stack:
            job = stack.submit(spec(stack.write("a.csv", TEXT)), traceparent=PARENT)["id"]
            assert stack.wait(job)["state"] == "succeeded"
        logs = [process.log.read_text() for process in stack.processes]
    assert all("tracing.on" in log for log in logs)
    assert {path for path, _ in got} == {"/v1/traces"}
    requests = [ExportTraceServiceRequest.FromString(body) for _, body in got]
    named, regions = set(), set()
    for spans in (spans for request in requests for spans in request.resource_spans):
        about = {each.key: each.value.string_value for each in spans.resource.attributes}
        regions.add(about["region"])
        for span in (span for scope in spans.scope_spans for span in scope.spans):
            if span.trace_id.hex() == TRACE:
                named.add((about["service.name"], span.name))

    assert regions == {"here"}
    assert named == {
        ("gristmill-gateway", "POST /v1/jobs"),
        *(("gristmill-worker", name) for name in ("plan", "chunk", "merge", "publish", "COPY")),
    }


WITHOUT = """
import sys
{first}
import api_service.server, worker_service.worker
from shared import tracing
tracing.configure("worker")
with tracing.span("plan") as span:
    span.set_attribute("a", 1)
tracing.close()
print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""
HIDDEN = """
import importlib.metadata, structlog
importlib.metadata.entry_points = lambda **_: ()
"""


def run_without(first: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    program = WITHOUT.format(first=first)
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **variables},
    )


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_without_a_wish_for_spans_nothing_of_opentelemetry_is_loaded(variables):
    assert run_without(**variables).stdout == "[]\n"


def test_without_the_extra_a_wish_for_spans_is_answered_with_a_line():
    done = run_without(HIDDEN, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")

    assert done.stdout.endswith("[]\n")
    assert "tracing.absent" in done.stdout
    assert "gristmill[otel]" in done.stdout


def test_the_end_of_a_program_waits_for_the_last_spans_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(tracing, "FLUSH_SECONDS", 0.01)
    away, ended = Event(), Event()

    class Slow(SimpleSpanProcessor):
        def shutdown(self):
            away.wait()
            super().shutdown()
            ended.set()

    tracing.use("test", Slow(InMemorySpanExporter()))
    tracing.close()
    assert not ended.is_set()
    away.set()
    assert ended.wait(60)
