"""One trace from a request to the units of its job (W3C Trace Context), for log lines and OpenTelemetry.

The `traceparent` of a submit is stored with its job, and each unit follows it. The log lines of a request or
unit have its trace id. Spans are made only with the extra [otel] and an OTEL_* variable that names an
exporter. Without, no package of OpenTelemetry is imported, and a span costs no more than a call.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from importlib.metadata import entry_points
from random import Random
from types import EllipsisType
from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from shared.otel import Recorder

TRACEPARENT = "traceparent"
FLUSH_SECONDS = 2
"""How long the end of a process waits for an exporter to take the last spans."""
_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAMPLED = "01"
_CHANCE = Random()  # noqa: S311  # ids, no secrets; the SDK makes its own so too
_WANTED_BY = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""Protocol -> the name under which a package brings its exporter."""
_recorder: "Recorder | None" = None
_current = ContextVar[str | None]("gristmill_traceparent", default=None)
_logged = ContextVar[str | EllipsisType](f"{structlog.contextvars.STRUCTLOG_KEY_PREFIX}trace_id")
log = structlog.get_logger()


class Span(Protocol):
    def set_attribute(self, key: str, value: str | float, /) -> object: ...


class _NoSpan:
    """The span, and the block of it, while none is made. Each request has one, so it is no generator."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing has begun."""

    def set_attribute(self, key: str, value: str | float, /) -> None:
        """Nothing records it."""


_NO_SPAN = _NoSpan()


def joined(header: str | None) -> str:
    """The traceparent of a request: the caller's own if it is well-formed, else that of a new trace."""
    if header and (found := _FORM.match(header)):
        return found[0]
    return f"00-{_CHANCE.getrandbits(128) or 1:032x}-{_CHANCE.getrandbits(64) or 1:016x}-{_SAMPLED}"


def follow(traceparent: str | None) -> None:
    """From now on, in this context, log lines and spans belong to this trace; None: to no trace."""
    _current.set(traceparent)
    _logged.set(traceparent.split("-")[1] if traceparent else ...)


def current() -> str | None:
    """The traceparent of the span or request that is under way."""
    return _current.get()


def span(
    name: str, kind: str = "INTERNAL", attributes: Mapping[str, str | float] | None = None
) -> AbstractContextManager[Span]:
    """Work that a trace shows, below the span or request that is under way.

    *kind* is one of OpenTelemetry's SpanKind. An error that leaves the block is the span's.
    """
    return _NO_SPAN if _recorder is None else _recorded(_recorder, name, kind, attributes)


@contextmanager
def _recorded(
    recorder: "Recorder", name: str, kind: str, attributes: Mapping[str, str | float] | None
) -> Iterator[Span]:
    made, own = recorder.begin(name, kind, attributes, current())
    before = _current.set(own)
    try:
        yield made
    except Exception as error:
        recorder.fail(made, error)
        raise
    finally:
        made.end()
        _current.reset(before)


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
    global _recorder  # noqa: PLW0603  # one for the process, as its log
    from shared.otel import Recorder  # noqa: PLC0415  # of the extra

    _recorder = Recorder(service, processor)


def close() -> None:
    """Export the last spans, and make no more."""
    global _recorder
    recorder, _recorder = _recorder, None
    if recorder is not None:
        recorder.close(FLUSH_SECONDS)
