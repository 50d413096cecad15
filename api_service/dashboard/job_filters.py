"""The filters of the list of jobs, as its forms and its URLs have them. Pure."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from multidict import MultiDict

FILTERS = ("state", "name", "source", "label", "created_after", "created_before", "error_code")
_TIMES = ("created_after", "created_before")
_LOCAL = len("2026-01-31T12:00")
"""Of a time as the field of a form has it: without seconds and without a zone. It is taken for UTC."""


def filters_of(given: Iterable[tuple[str, str]]) -> MultiDict[str]:
    """Those of a query or of a form that are not empty, as `GET /v1/jobs` takes them."""
    return MultiDict((name, _zoned(name, value)) for name, value in given if name in FILTERS and value)


def _zoned(name: str, value: str) -> str:
    return f"{value}:00Z" if name in _TIMES and len(value) == _LOCAL else value


def fields_of(filters: Mapping[str, str]) -> dict[str, str]:
    """The values of the fields of the form; a time in another zone than UTC is not shown as one in UTC."""
    found = {name: filters.get(name, "") for name in FILTERS}
    return found | {name: _local(found[name]) for name in _TIMES}


def _local(time: str) -> str:
    return time[:_LOCAL] if time.endswith("Z") else time


def path_of(path: str, filters: Iterable[tuple[str, str]]) -> str:
    query = urlencode([*filters])
    return f"{path}?{query}" if query else path
