"""One trace from a request to the units of its job (W3C Trace Context), for log lines and OpenTelemetry.

The `traceparent` of a submit is stored with its job, and each unit follows it. The log lines of a request or
unit have its trace id. Spans are made only with the extra [otel] and an OTEL_* variable that names an
exporter. Without, no package of OpenTelemetry is imported, and a span costs no more than a call.
"""

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import entry_points
from types import EllipsisType
from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Tracer

TRACEPARENT = "traceparent"
FLUSH_SECONDS = 2
"""How long the end of a process waits for an exporter to take the last spans."""
_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAMPLED = "01"
_WANTED_BY = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""Protocol -> the name under which a package brings its exporter."""
_provider: "TracerProvider | None" = None
_tracer: "Tracer | None" = None
_current = ContextVar[str | None]("gristmill_traceparent", default=None)
_logged = ContextVar[str | EllipsisType](f"{structlog.contextvars.STRUCTLOG_KEY_PREFIX}trace_id")
log = structlog.get_logger()


class Span(Protocol):
    def set_attribute(self, key: str, value: str | float, /) -> object: ...


class _NoSpan:
    def set_attribute(self, key: str, value: str | float, /) -> None:
        """Nothing records it."""


_NO_SPAN = _NoSpan()


def joined(header: str | None) -> str:
    """The traceparent of a request: the caller's own if it is well-formed, else that of a new trace."""
    if header and (found := _FORM.match(header)):
        return found[0]
    trace, parent = os.urandom(16).hex(), os.urandom(8).hex()
    return f"00-{trace}-{parent}-{_SAMPLED}"


def follow(traceparent: str | None) -> None:
    """From now on, in this context, log lines and spans belong to this trace; None: to no trace."""
    _current.set(traceparent)
    _logged.set(traceparent.split("-")[1] if traceparent else ...)


def current() -> str | None:
    """The traceparent of the span or request that is under way."""
    return _current.get()


@contextmanager
def span(
    name: str, kind: str = "internal", attributes: Mapping[str, str | float] | None = None
) -> Iterator[Span]:
    """Work that a trace shows, below the span or request that is under way.

    *kind* is one of SpanKind, in lower case. An error that leaves the block is the span's.
    """
    if _tracer is None:
        yield _NO_SPAN
        return
    # Loaded: there is a tracer. `start_as_current_span` and the propagator take half as long again.
    from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id  # noqa: PLC0415

    made = _tracer.start_span(name, _above(current()), SpanKind[kind.upper()], attributes)
    its = made.get_span_context()
    own = f"00-{format_trace_id(its.trace_id)}-{format_span_id(its.span_id)}-{its.trace_flags:02x}"
    before = _current.set(own)
    try:
        yield made
    except Exception as error:
        made.record_exception(error)
        made.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        raise
    finally:
        made.end()
        _current.reset(before)


def _above(traceparent: str | None) -> "Context":
    """The context of a span below *traceparent*, which may be of another process."""
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.context import Context  # noqa: PLC0415

    if traceparent is None:
        return Context()
    _, of, above, flags = traceparent.split("-")
    sampled = trace.TraceFlags(int(flags, 16))
    parent = trace.SpanContext(int(of, 16), int(above, 16), is_remote=True, trace_flags=sampled)
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())


def configure(service: str) -> None:
    """Export spans, if an OTEL_* variable asks for it and the extra is installed.

    The SDK reads the others itself: sampler, resource, endpoint, headers, limits.
    """
    asked = next((name for name in _WANTED_BY if os.environ.get(name)), None)
    kind = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if asked is None or kind == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    if kind == "otlp":
        named = (f"OTEL_EXPORTER_OTLP_{middle}PROTOCOL" for middle in ("TRACES_", ""))
        protocol = next((os.environ[name] for name in named if os.environ.get(name)), "http/protobuf")
        kind = _OTLP.get(protocol, protocol)
    found = entry_points(group="opentelemetry_traces_exporter", name=kind)
    if not found:
        cure = "pip install 'gristmill[otel]', or the package of that exporter"
        log.error("tracing.absent", asked=asked, exporter=kind, cure=cure)
        return
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  # of the extra

    use(service, BatchSpanProcessor(next(iter(found)).load()()))
    log.info("tracing.on", asked=asked, exporter=kind)


def use(service: str, processor: "SpanProcessor") -> None:
    """Give every span from now on to *processor*."""
    global _provider, _tracer  # noqa: PLW0603  # one for the process, as its log
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # of the extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    named = "OTEL_SERVICE_NAME" in os.environ
    resource = Resource.create({} if named else {"service.name": f"gristmill-{service}"})
    _provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    _provider.add_span_processor(processor)
    _tracer = _provider.get_tracer("gristmill")


def close() -> None:
    """Export the last spans, and make no more."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        # The SDK's own patience with a receiver that is away is longer than a service's end may take.
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)
