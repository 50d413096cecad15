"""Spans by the SDK of OpenTelemetry, which the extra [otel] installs. Only `shared.tracing` imports this."""

import os
import threading
from collections.abc import Mapping
from functools import lru_cache

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)


class Recorder:
    """Gives each span to *processor* when it ends.

    A span by `start_as_current_span` and the propagator takes twice as long.
    """

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        named = "OTEL_SERVICE_NAME" in os.environ
        resource = Resource.create({} if named else {"service.name": f"gristmill-{service}"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("gristmill")

    def begin(
        self, name: str, kind: str, attributes: Mapping[str, str | float] | None, above: str | None
    ) -> tuple[Span, str]:
        """A span below the traceparent *above*, and its own traceparent. *kind* is one of SpanKind."""
        made = self._tracer.start_span(name, _context(above), SpanKind[kind], attributes)
        its = made.get_span_context()
        return made, f"00-{format_trace_id(its.trace_id)}-{format_span_id(its.span_id)}-{its.trace_flags:02x}"

    def fail(self, span: Span, error: Exception) -> None:
        span.record_exception(error)
        span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")

    def close(self, seconds: float) -> None:
        """Export the last spans, for so long at most.

        The SDK's own patience with a receiver that is away is longer than a service's end may take.
        """
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(seconds)


@lru_cache(maxsize=64)
def _context(traceparent: str | None) -> Context:
    """That of a span below *traceparent*, which may be of another process; a job has many of these."""
    if traceparent is None:
        return Context()
    _, trace, above, flags = traceparent.split("-")
    sampled = TraceFlags(int(flags, 16))
    parent = SpanContext(int(trace, 16), int(above, 16), is_remote=True, trace_flags=sampled)
    return set_span_in_context(NonRecordingSpan(parent), Context())
