"""The filter of a list of jobs, as query parameters."""

import re
from datetime import datetime

from multidict import MultiMapping

from api_service.wire.parameters import expected, job_state, labels, single
from shared.core.job_filter import JobFilter
from shared.spec.values import RESULT_NAME

MAX_SOURCE = 1000


def job_filter(query: MultiMapping[str]) -> JobFilter:
    return JobFilter(
        state=job_state(query),
        labels=labels(query),
        name=_fitting(query, "name", RESULT_NAME.pattern, "the output.name of jobs"),
        source=_source(query),
        created_after=_time(query, "created_after"),
        created_before=_time(query, "created_before"),
        error_code=_fitting(query, "error_code", "[a-z_]{1,64}", "the code of an error, such as bad_row"),
    )


def _fitting(query: MultiMapping[str], name: str, pattern: str, what: str) -> str | None:
    text = single(query, name)
    if text is not None and not re.fullmatch(pattern, text):
        raise expected(name, what, text)
    return text


def _source(query: MultiMapping[str]) -> str | None:
    text = single(query, "source")
    if text is not None and (not 1 <= len(text) <= MAX_SOURCE or not text.isprintable()):
        raise expected("source", f"1 to {MAX_SOURCE} printable characters of a URI", text)
    return text


def _time(query: MultiMapping[str], name: str) -> datetime | None:
    """A time with its zone; a `+` of the query may have become a space."""
    text = single(query, name)
    try:
        time = None if text is None else datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        time = None
    if text is not None and (time is None or time.tzinfo is None):
        raise expected(name, "a time with its zone, such as 2026-01-31T12:00:00Z", text)
    return time
