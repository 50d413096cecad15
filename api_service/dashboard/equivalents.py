"""The commands that submit the spec of a job again: with curl, and with the Python SDK. Pure.

Both find the API key in the environment variable GRISTMILL_API_KEY.
"""

import json
import shlex
from typing import Any, NamedTuple

from api_service.dashboard.short_spec import short

_WIDTH = 88
_KEY = '-H "Authorization: Bearer $GRISTMILL_API_KEY"'
_BUCKETS = {"1h": "hour", "1d": "day", "1w": "week", "1mo": "month", "1q": "quarter", "1y": "year"}
"""Width of a time bucket -> the function of the SDK that makes such a key."""
_WORDS = {
    ("where",): "where",
    ("having",): "having",
    ("source", "types"): "types",
    ("source", "csv"): "csv",
    ("source", "format"): "format",
    ("source", "timezone"): "timezone",
    ("semantics",): "semantics",
    ("options", "on_bad_row"): "on_bad_row",
    ("options", "max_bad_rows"): "max_bad_rows",
    ("options", "priority"): "priority",
    ("options", "deadline"): "deadline",
    ("output", "name"): "name",
    ("output", "indexes"): "indexes",
    ("limits",): "limits",
    ("labels",): "labels",
    ("source",): "source_options",
    ("options",): "options",
    ("output",): "output",
}
"""Place in the spec -> keyword of `Client.submit`. An object comes after its parts, and has the others."""


class _Call(NamedTuple):
    """An expression of Python: a function with its arguments."""

    function: str
    column: str
    named: dict[str, Any]


def curl(spec: dict[str, Any], url: str, *, key: bool) -> str:
    """The command for a gateway at *url*, which wants a *key* or none."""
    words = ["curl", "-X", "POST", shlex.quote(f"{url}/v1/jobs"), "-H", "'Content-Type: application/json'"]
    body = shlex.quote(json.dumps(short(spec), indent=2, ensure_ascii=False))
    return " ".join([*words, *([_KEY] if key else []), "-d", body])


def python(spec: dict[str, Any], url: str) -> str:
    """A program that submits the spec, waits for the job and shows the first rows of its result."""
    left = short(spec)
    uris = left["source"].pop("uris")
    words = {"by": [_key(key) for key in left.pop("group_by")], "aggs": _aggs(spec.get("aggregates", []))}
    for name in ("derive", "compute"):
        words[name] = {made["as"]: made["expr"] for made in left.get(name, ())}
    for (*outer, last), word in _WORDS.items():
        words[word] = (left.get(outer[0], {}) if outer else left).pop(last, None)
    calls = {key.function for key in words["by"] if isinstance(key, _Call)}
    shown = {word: value for word, value in words.items() if value not in (None, "", [], {})}
    given = "".join(f"    {word}={_code(value, 4)},\n" for word, value in shown.items())
    return (
        f"from gristmill import {', '.join(['Client', *sorted(calls)])}\n\n"
        f"client = Client({_code(url)})\n"
        f"job = client.submit(\n    {_code(uris[0] if len(uris) == 1 else uris, 4)},\n{given})\n"
        "print(job.result().to_dicts(limit=10))\n"
    )


def _key(key: Any) -> Any:
    if not isinstance(key, dict):
        return key
    named = {"tz": key.get("tz"), "as_": key.get("as")}
    given = {name: value for name, value in named.items() if value is not None}
    function = _BUCKETS.get(key["time_bucket"])
    if function is None:
        return _Call("bucket", key["column"], {"every": key["time_bucket"]} | given)
    return _Call(function, key["column"], given)


def _aggs(aggregates: list[dict[str, Any]]) -> Any:
    """By their result columns, if each has a name."""
    shorter = short({"aggregates": aggregates})["aggregates"]
    if not all("as" in aggregate for aggregate in aggregates):
        return shorter
    return {full["as"]: _agg(less) for full, less in zip(aggregates, shorter, strict=True)}


def _agg(aggregate: dict[str, Any]) -> Any:
    rest = {name: value for name, value in aggregate.items() if name not in {"fn", "column", "as"}}
    if "column" in aggregate:
        pair = (aggregate["column"], aggregate["fn"])
        return (*pair, rest) if rest else pair
    return {"fn": aggregate["fn"], **rest} if rest else aggregate["fn"]


def _code(value: Any, indent: int = 0) -> str:
    """Python for a value of JSON, a tuple or a _Call: in one line, or in a line for each item."""
    flat = _flat(value)
    if indent + len(flat) <= _WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner, pad = indent + 4, " " * (indent + 4)
    if isinstance(value, dict):
        items = [f"{_flat(key)}: {_code(item, inner)}" for key, item in value.items()]
        return "{\n" + "".join(f"{pad}{item},\n" for item in items) + " " * indent + "}"
    return "[\n" + "".join(f"{pad}{_code(item, inner)},\n" for item in value) + " " * indent + "]"


def _flat(value: Any) -> str:
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _Call(function, column, named):
            return f"{function}({', '.join([_flat(column), *(f'{n}={_flat(v)}' for n, v in named.items())])})"
        case tuple():
            return f"({', '.join(map(_flat, value))})"
        case list():
            return f"[{', '.join(map(_flat, value))}]"
        case dict():
            return "{" + ", ".join(f"{_flat(key)}: {_flat(item)}" for key, item in value.items()) + "}"
        case _:
            return repr(value)
