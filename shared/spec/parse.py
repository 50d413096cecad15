"""From the body of a request to a valid spec, or to all mistakes in it at once."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from shared.errors import Detail, InvalidSpec, MalformedJson, NotSupported
from shared.spec.faults import MAX_FAULTS, pointer, refuse, summary, written
from shared.spec.models import JobSpec
from shared.spec.names import did_you_mean, quote
from shared.spec.objects import unsupported_fields
from shared.spec.source import FORMATS_OF


def parse_spec(body: bytes) -> JobSpec:
    """Raises MalformedJson, InvalidSpec, or for values that are valid but not supported yet NotSupported."""
    _check_json(body)
    try:
        spec = JobSpec.model_validate_json(body)
    except ValidationError as error:
        details = [
            _explain(fault) for fault in error.errors(include_url=False, include_input=False)[:MAX_FAULTS]
        ]
        raise InvalidSpec(summary(details), errors=details) from None
    refuse(NotSupported, unsupported_fields(spec))
    return spec


def _check_json(body: bytes) -> None:
    """Refuse JSON that pydantic's own reading accepts: NaN, and a key that an object has twice."""
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedJson(f"the body is not JSON: {error}") from None
    json.loads(body, object_pairs_hook=_without_repeats)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise MalformedJson(f"the key {quote(twice)} stands more than once in one object")
    return found


_PLAINER = {"missing": "required, but missing"}
"""pydantic's error type -> the message, where pydantic's own speaks of fields."""


def _explain(error: ErrorDetails) -> Detail:
    loc = written(error["loc"])
    if error["type"] == "extra_forbidden":
        loc = (*loc[:-1], error["loc"][-1])
        detail = _unknown_key(tuple(key for key in loc[:-1] if isinstance(key, str)), str(loc[-1]))
    else:
        plainer = _PLAINER.get(error["type"])
        detail = plainer.format(**error.get("ctx", {})) if plainer else error["msg"]
    return {"pointer": pointer(*loc), "detail": detail}


def _objects(model: type[BaseModel], *at: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every object of the spec: its path of keys, without array indexes, and its own keys.

    `*` in a path stands for a key that the user chooses, such as a column's name.
    """
    yield at, [info.alias or name for name, info in model.model_fields.items()]
    for name, info in model.model_fields.items():
        chosen = ("*",) if get_origin(info.annotation) is dict else ()
        for child in _models(info.annotation):
            yield from _objects(child, *at, name, *chosen)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


KEYS = dict(_objects(JobSpec))

_ALSO_CALLED = {
    "group_by": "by groupby group keys dimensions",
    "aggregates": "aggs agg aggregations metrics measures",
    "fn": "func function agg op aggregate",
    "as": "name alias",
    "column": "col field",
    "where": "filter filters condition conditions query predicate filter_by where_clause",
    "having": "post_filter having_filter group_filter",
    "derive": "with_columns assign mutate derived derived_columns new_columns transform transforms",
    "compute": "computed computed_columns calculate calculated calculations post post_aggregations",
    "uris": "uri url urls path paths file files",
    "format": "type",
    "types": "dtypes dtype schema columns",
    "timezone": "tz",
    "tz": "timezone",
    "delimiter": "sep separator",
    "quote": "quotechar quote_char",
    "null_values": "na_values nulls null_value null",
    "expr": "expression formula sql",
    "q": "quantile quantiles percentile",
    "k": "n limit",
    "indexes": "indices index",
    "labels": "tags",
}


_SORTED = (
    "a result is sorted where it is read: GET .../rows?order_by=-revenue,month. "
    "output.indexes makes such a read fast"
)
_LIMITED = (
    "a result is limited where it is read: GET .../rows?order_by=-revenue&limit=10. "
    "The aggregates top and bottom keep the k largest or smallest values of a group"
)
_LISTED = "a result has the columns of group_by, aggregates and compute, and only columns in use are read"
_INSTEAD = {
    **dict.fromkeys(("order_by", "orderby", "order", "sort", "sort_by", "sorting"), _SORTED),
    **dict.fromkeys(("limit", "head", "top", "offset", "nrows", "max_rows", "first_n"), _LIMITED),
    **dict.fromkeys(("select", "columns", "fields", "projection", "usecols"), _LISTED),
    **dict.fromkeys(
        ("distinct", "unique", "drop_duplicates"),
        "group_by with the aggregate count gives each distinct combination once",
    ),
    **dict.fromkeys(("join", "joins", "merge"), "one dataset is read; join results in Postgres"),
}
"""Keys that people try at the top level -> the advice."""


def _home(path: tuple[str, ...]) -> str:
    match path:
        case ():
            return "the top level"
        case ("source", name) if name in FORMATS_OF:
            return f"{pointer(*path)}, which is for {' and '.join(FORMATS_OF[name])}"
    return pointer(*path)


def _unknown_key(at: tuple[str, ...], key: str) -> str:
    if not at and (instead := _INSTEAD.get(key.lower())):
        return f"unknown key: {instead}"
    at = at if at in KEYS else (*at[:-1], "*")
    meant = {
        other: name for name, others in _ALSO_CALLED.items() if name in KEYS[at] for other in others.split()
    }
    if guess := did_you_mean(key, KEYS[at], meant):
        return f"unknown key{guess}"
    homes = [_home(path) for path, keys in KEYS.items() if key in keys]
    return (
        f"unknown key; it belongs in {' or '.join(homes)}"
        if homes
        else f"unknown key; there are {', '.join(KEYS[at])}"
    )
