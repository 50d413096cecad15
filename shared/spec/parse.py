"""From the body of a request to a valid spec, or to all mistakes in it at once."""

from shared.errors import InvalidSpec, NotSupported
from shared.spec.bodies import keys_of, read_body
from shared.spec.faults import pointer, refuse
from shared.spec.models import JobSpec
from shared.spec.names import did_you_mean
from shared.spec.objects import unsupported_fields
from shared.spec.source import FORMATS_OF

KEYS = keys_of(JobSpec)


def parse_spec(body: bytes) -> JobSpec:
    """Raises MalformedJson, InvalidSpec, or for values that are valid but not supported yet NotSupported."""
    spec = read_body(JobSpec, body, InvalidSpec, _unknown_key)
    refuse(NotSupported, unsupported_fields(spec))
    return spec


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
