"""The filters of the list of jobs, as its forms and its URLs have them. Pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from multidict import MultiDict

FILTERS = ("state", "name", "source", "label", "created_after", "created_before", "error_code")
_TIMES = frozenset({"created_after", "created_before"})
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
"""A time as the field of a form has it, without a zone. It is taken for UTC."""


def filters_of(given: Iterable[tuple[str, str]]) -> MultiDict[str]:
    """Those of a query or of a form that are not empty, as `GET /v1/jobs` takes them.

    Of a time that is there twice the first counts: the field stands before the time that was kept.
    """
    found = MultiDict((name, _zoned(name, value)) for name, value in given if name in FILTERS and value)
    for name in _TIMES & found.keys():
        found[name] = found[name]
    return found


def _zoned(name: str, value: str) -> str:
    if name not in _TIMES or not (local := _LOCAL.fullmatch(value)):
        return value
    return f"{value}Z" if local[1] else f"{value}:00Z"


def fields_of(filters: Mapping[str, str]) -> dict[str, str]:
    """The values of the fields of the form; times are in UTC, and empty if no field can show them."""
    found = {name: filters.get(name, "") for name in FILTERS}
    return found | {name: _local(found[name]) for name in _TIMES}


def kept_of(filters: Mapping[str, str]) -> dict[str, str]:
    """The times that no field can show, such as those with parts of a second."""
    return {name: filters[name] for name in sorted(_TIMES & filters.keys()) if not _local(filters[name])}


def _local(time: str) -> str:
    try:
        at = datetime.fromisoformat(time.replace(" ", "+"))
        if at.tzinfo is None or at.microsecond:
            return ""
        return at.astimezone(UTC).replace(tzinfo=None).isoformat().removesuffix(":00")
    except (ValueError, OverflowError):
        return ""


def path_of(path: str, filters: Iterable[tuple[str, str]]) -> str:
    query = urlencode([*filters])
    return f"{path}?{query}" if query else path
