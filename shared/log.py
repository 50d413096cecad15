"""Structured log lines on standard error: JSON for machines, colours for people.

Text from outside, such as a URL or a file's name, can neither forge a line nor reorder a terminal. No key is
written. A repeated cause is written a few times and then counted, so a flood of errors is no flood of lines.
"""

import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import structlog

from shared.settings import DatabaseSettings

PERIOD_SECONDS = 10.0
LINES_A_PERIOD, TRACES_A_PERIOD = 20, 1
"""How often one cause is written in a period; a stack trace takes a screenful."""
_CAUSES = 1000
_KEYS = (
    (re.compile(r"gm(?:_|%5f)[A-Za-z0-9_%-]{16,}", re.IGNORECASE), "gm_…"),
    (re.compile(r"(bearer(?:\s|%20|\+)+)[A-Za-z0-9._~+/=%-]{8,}", re.IGNORECASE), r"\1…"),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), r"\1…@"),
)
_TRACES = frozenset({"exception", "stack"})
Cause = tuple[str, int, str, str]


def configure(settings: DatabaseSettings) -> None:
    """Send structlog's and the standard library's records through one formatter."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    json = settings.log_format == "json"
    secrets = [settings.api_key.get_secret_value()] if settings.api_key else []
    render: Any = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        cache_logger_on_first_use=True,
    )
    handler = Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                cleaner(secrets, margin="" if json else "  | "),
                render,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    logging.getLogger("arq").setLevel(logging.WARNING)


def cleaner(secrets: list[str], *, margin: str) -> structlog.typing.Processor:
    """A processor that takes out keys and passwords, and escapes characters that do not print.

    Lines of a stack trace begin with *margin*.
    """

    def clean(value: Any) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return printable(_redacted(value, secrets))
            case dict():
                return {str(clean(key)): clean(each) for key, each in value.items()}
            case list() | tuple():
                return [clean(each) for each in value]
            case _:
                return clean(repr(value))

    def process(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {
            key: _trace(value) if key in _TRACES and isinstance(value, str) else clean(value)
            for key, value in line.items()
        }

    def _trace(text: str) -> str:
        return "\n".join(margin + printable(each) for each in _redacted(text, secrets).split("\n"))

    return process


def _redacted(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "…")
    for pattern, instead in _KEYS:
        text = pattern.sub(instead, text)
    return text


def printable(text: str) -> str:
    """The text with escapes for characters that do not print.

    These are control and bidirectional characters, line separators and half surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class Handler(logging.StreamHandler[Any]):
    """Writes to standard error.

    Warnings and errors of one cause are written a few times in a period. At its end the others are counted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(sys.stderr)
        self._clock = clock
        self._periods: dict[Cause, tuple[float, int]] = {}
        """Cause -> (end of its period, number of records in it), in the order of the ends."""

    def emit(self, record: logging.LogRecord) -> None:
        now = self._clock()
        while self._periods and (
            len(self._periods) > _CAUSES or next(iter(self._periods.values()))[0] <= now
        ):
            self._tell(next(iter(self._periods)))
        if record.levelno >= logging.WARNING:
            cause = _cause(record)
            end, count = self._periods.get(cause, (now + PERIOD_SECONDS, 0))
            self._periods[cause] = end, count + 1
            if count >= _most(cause):
                return
        super().emit(record)

    def _tell(self, cause: Cause) -> None:
        _, count = self._periods.pop(cause)
        if (left := count - _most(cause)) > 0:
            name, level, event, error = cause
            told = f"repeated {left:,} more times: {event}{error and ': ' + error}"
            super().emit(logging.LogRecord(name, level, "", 0, "%s", (told,), None))


def _most(cause: Cause) -> int:
    return TRACES_A_PERIOD if cause[3] else LINES_A_PERIOD


def _cause(record: logging.LogRecord) -> Cause:
    """Logger, level, event, and the class and source line of the error whose stack trace the line has."""
    line = record.msg if isinstance(record.msg, dict) else {"event": record.msg, "exc_info": record.exc_info}
    given = line.get("exc_info")
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    return (
        record.name,
        record.levelno,
        str(line.get("event")),
        _origin(error) if isinstance(error, BaseException) else "",
    )


def _origin(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{where}"
