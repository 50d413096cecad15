"""The words of a job, as pandas users write them, made into the JSON spec of docs/spec.md. Pure."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, NotRequired, TypedDict

Function = Literal[
    "count", "sum", "mean", "min", "max", "var", "std", "sem", "any", "all", "first", "last", "mode",
    "arg_min", "arg_max", "nunique", "median", "quantile", "top", "bottom", "cov", "corr",
]  # fmt: skip
OnBadRow = Literal["fail", "quarantine", "skip"]
Compression = Literal["auto", "none", "gzip", "zip", "zstd", "bzip2", "xz", "lz4"]
Format = Literal["auto", "csv", "tsv", "ndjson", "parquet", "arrow", "xlsx"]

Aggregate = TypedDict(
    "Aggregate",
    {
        "fn": Function,
        "column": NotRequired[str],
        "as": NotRequired[str],
        "where": NotRequired[str],
        "ddof": NotRequired[int],
        "q": NotRequired[float | Sequence[float]],
        "k": NotRequired[int],
        "by": NotRequired[str],
        "x": NotRequired[str],
        "y": NotRequired[str],
    },
)
"""An aggregate of the spec: its function, its parameters and the result column."""

TimeBucket = TypedDict(
    "TimeBucket",
    {"time_bucket": str, "column": str, "tz": NotRequired[str], "as": NotRequired[str]},
)
"""A group key: the part of time in which a date or timestamp lies."""

Named = TypedDict("Named", {"as": str, "expr": str})
"""A new column and its expression."""


class ColumnType(TypedDict):
    type: str
    format: NotRequired[str | Sequence[str]]
    decimal: NotRequired[str]
    thousands: NotRequired[str]
    strip: NotRequired[str]
    trim: NotRequired[bool]
    percent: NotRequired[bool]
    negative: NotRequired[Sequence[str]]
    lenient: NotRequired[bool]
    true: NotRequired[Sequence[str]]
    false: NotRequired[Sequence[str]]
    null_values: NotRequired[Sequence[str]]


"""A column's type, and the way in which its values are written."""


class Csv(TypedDict, total=False):
    """The way in which CSV is written."""

    delimiter: str
    quote: str | None
    escape: str | None
    header: bool
    names: Sequence[str] | None
    encoding: str
    null_values: Sequence[str]
    comment: str | None
    skip_rows: int
    skip_footer: int
    trim: bool
    decimal: str
    thousands: str | None
    short_rows: Literal["bad_row", "null"]


class Source(TypedDict, total=False):
    """The data. The client fills `uris` in with the sources that it uploads."""

    uris: Sequence[str]
    format: Format
    compression: Compression
    csv: Csv
    types: Mapping[str, str | ColumnType]
    timezone: str
    ambiguous_times: Literal["bad_row", "earliest", "latest"]
    partitions: Literal["hive"] | None
    file_column: str | None
    missing_columns: Literal["fail", "null"]
    parquet: Mapping[str, str]
    xlsx: Mapping[str, str | int]


class Output(TypedDict, total=False):
    """The published result."""

    name: str | None
    indexes: Sequence[Sequence[str]]
    versions: int
    expires: str | None
    on_schema_change: Literal["fail", "replace"]


class Options(TypedDict, total=False):
    """The way in which the job is run."""

    priority: int
    on_bad_row: OnBadRow
    max_bad_rows: int | None
    chunk_bytes: int | None
    max_parallel_chunks: int | None
    deadline: str | None


class Limits(TypedDict, total=False):
    """Bounds beyond which the job fails."""

    max_groups: int
    max_bytes: int | None
    max_chunks: int
    max_state_bytes: int


class JobSpec(TypedDict, total=False):
    """The JSON spec of a job: a plain dict whose keys an editor completes."""

    source: Source
    derive: Sequence[Named]
    where: str | None
    group_by: Sequence[str | TimeBucket]
    aggregates: Sequence[Aggregate]
    compute: Sequence[Named]
    having: str | None
    semantics: Literal["sql", "pandas"]
    output: Output
    options: Options
    limits: Limits
    labels: Mapping[str, str]


Key = str | TimeBucket
Agg = str | tuple[str, str] | tuple[str, str, Mapping[str, Any]] | Aggregate


class Words(TypedDict, total=False):
    """The keyword arguments of `submit`, `plan` and `aggregate`.

    Each has the meaning of its key in docs/spec.md.

    `by` and `aggs` are the keys and the aggregates, as in pandas. `spec` takes the place of all others.
    """

    by: Key | Sequence[Key]
    aggs: Mapping[str, Agg] | Sequence[Aggregate]
    where: str
    having: str
    derive: Mapping[str, str]
    compute: Mapping[str, str]
    types: Mapping[str, str | ColumnType]
    csv: Csv
    format: Format
    timezone: str
    source_options: Source
    semantics: Literal["sql", "pandas"]
    on_bad_row: OnBadRow
    max_bad_rows: int
    name: str
    indexes: Sequence[Sequence[str]]
    output: Output
    priority: int
    deadline: str | timedelta
    options: Options
    limits: Limits
    labels: Mapping[str, str]
    spec: JobSpec | Mapping[str, Any]


PLACES: dict[str, tuple[str, ...]] = {
    "where": ("where",),
    "having": ("having",),
    "types": ("source", "types"),
    "csv": ("source", "csv"),
    "format": ("source", "format"),
    "timezone": ("source", "timezone"),
    "source_options": ("source",),
    "semantics": ("semantics",),
    "on_bad_row": ("options", "on_bad_row"),
    "max_bad_rows": ("options", "max_bad_rows"),
    "priority": ("options", "priority"),
    "deadline": ("options", "deadline"),
    "options": ("options",),
    "name": ("output", "name"),
    "indexes": ("output", "indexes"),
    "output": ("output",),
    "limits": ("limits",),
    "labels": ("labels",),
    "by": ("group_by",),
    "aggs": ("aggregates",),
    "derive": ("derive",),
    "compute": ("compute",),
}
"""The place of each word in the spec."""


def bucket(column: str, every: str, *, tz: str | None = None, as_: str | None = None) -> TimeBucket:
    """A group key for each *every* of a column of times: `30s`, `15m`, `2h`, `1d`, `1w`, `1mo`, `1q` or `1y`.

    *tz* is the zone whose clocks cut a timestamptz. *as_* names the result column; without it the name stays.
    """
    key: TimeBucket = {"time_bucket": every, "column": column}
    if tz is not None:
        key["tz"] = tz
    if as_ is not None:
        key["as"] = as_
    return key


def hour(column: str, *, tz: str | None = None, as_: str | None = None) -> TimeBucket:
    """A group key for each hour."""
    return bucket(column, "1h", tz=tz, as_=as_)


def day(column: str, *, tz: str | None = None, as_: str | None = None) -> TimeBucket:
    """A group key for each day; a date."""
    return bucket(column, "1d", tz=tz, as_=as_)


def week(column: str, *, tz: str | None = None, as_: str | None = None) -> TimeBucket:
    """A group key for each week; the date of its Monday."""
    return bucket(column, "1w", tz=tz, as_=as_)


def month(column: str, *, tz: str | None = None, as_: str | None = None) -> TimeBucket:
    """A group key for each month; the date of its first day."""
    return bucket(column, "1mo", tz=tz, as_=as_)


def quarter(column: str, *, tz: str | None = None, as_: str | None = None) -> TimeBucket:
    """A group key for each quarter; the date of its first day."""
    return bucket(column, "1q", tz=tz, as_=as_)


def year(column: str, *, tz: str | None = None, as_: str | None = None) -> TimeBucket:
    """A group key for each year; the date of its first day."""
    return bucket(column, "1y", tz=tz, as_=as_)


def job_spec(uris: Sequence[str], words: Words) -> dict[str, Any]:
    """The spec of a job over *uris*; those of `spec` hold if there are none.

    Raises TypeError for words that contradict each other, ValueError for an aggregate of another form.
    """
    given: dict[str, Any] = {name: value for name, value in words.items() if value is not None}
    spec: dict[str, Any] = _copied(given.pop("spec", {}))
    if spec and given:
        raise TypeError(f"spec= has everything: leave out {', '.join(given)}, or put it into the spec")
    if unknown := given.keys() - PLACES.keys():
        raise TypeError(f"unknown arguments: {', '.join(sorted(unknown))}; known are {', '.join(PLACES)}")
    for name in sorted(given, key=lambda name: -len(PLACES[name])):
        _put(spec, PLACES[name], _made(name, given[name]), name)
    if uris:
        _put(spec, ("source", "uris"), list(uris), "the source")
    if not words.get("spec"):
        spec.setdefault("group_by", [])
    return spec


def aggregates(aggs: Mapping[str, Agg] | Sequence[Aggregate]) -> list[Aggregate]:
    """The aggregates of the spec.

    Of a mapping the keys are the result columns. A value is `"count"`, `(column, function)`, the same with a
    dict of parameters, or an aggregate of the spec.
    """
    if not isinstance(aggs, Mapping):
        return [*aggs]
    return [_aggregate(name, value) for name, value in aggs.items()]


def _aggregate(name: str, value: Any) -> Any:
    match value:
        case str():
            return {"fn": value, "as": name}
        case Mapping():
            return {"as": name, **value}
        case (str() as column, str() as fn):
            return {"fn": fn, "column": column, "as": name}
        case (str() as column, str() as fn, Mapping() as parameters):
            return {"fn": fn, "column": column, **parameters, "as": name}
        case _:
            raise ValueError(
                f"aggs[{name!r}] is {value!r}: expected 'count', (column, function), "
                "(column, function, {parameter: value}) or {'fn': …}"
            )


def _made(name: str, value: Any) -> Any:
    """The value of a word in the spec."""
    match name:
        case "by":
            return [value] if isinstance(value, str | Mapping) else [*value]
        case "aggs":
            return aggregates(value)
        case "derive" | "compute":
            return [{"as": column, "expr": expr} for column, expr in value.items()]
        case "deadline" if isinstance(value, timedelta):
            return f"{int(value.total_seconds())}s"
        case _:
            return value


def _put(spec: dict[str, Any], place: tuple[str, ...], value: Any, word: str) -> None:
    """Set a value; a mapping is merged into the one that is there."""
    *outer, last = place
    for key in outer:
        spec = spec.setdefault(key, {})
    if isinstance(value, Mapping) and len(place) == 1:
        known = spec.setdefault(last, {})
        if twice := known.keys() & value.keys():
            raise TypeError(f"{', '.join(sorted(twice))} is given twice: in {word} and as an argument")
        known.update(value)
    else:
        spec[last] = value


def _copied(value: Any) -> Any:
    """A copy whose dicts can be changed."""
    return {key: _copied(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value
