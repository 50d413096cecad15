"""The formats in which rows come: their media types, the names of their files, and their parameters."""

from dataclasses import dataclass
from typing import Literal

from multidict import MultiMapping

from api_service.wire.headers import PAGE_OR_LINES, Format, negotiated
from api_service.wire.parameters import choice, expected, flag, invalid, single
from shared.core.entities import Version
from shared.core.row_query import Accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFormat:
    """`media` is the whole Content-Type. Parquet and Arrow are compressed, or meant to be mapped, already."""

    media: str
    extension: str
    compressible: bool = True


FORMATS: dict[Format, RowFormat] = {
    "json": RowFormat(media="application/json", extension="json"),
    "csv": RowFormat(media="text/csv; charset=utf-8; header=present", extension="csv"),
    "ndjson": RowFormat(media="application/x-ndjson", extension="ndjson"),
    "parquet": RowFormat(media="application/vnd.apache.parquet", extension="parquet", compressible=False),
    "arrow": RowFormat(media="application/vnd.apache.arrow.stream", extension="arrows", compressible=False),
}
_BINARY: tuple[Format, ...] = ("parquet", "arrow")
_ACCEPTED = PAGE_OR_LINES | {FORMATS[name].media: name for name in _BINARY}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOptions:
    """`total` is how a page counts the rows that match; `bom` and `formula_guard` are of CSV."""

    total: Literal["none"] | Accuracy
    bom: bool
    formula_guard: bool


def format_of(query: MultiMapping[str], accept: list[str]) -> Format:
    """The format of `?format=`, or else of the Accept header."""
    asked = single(query, "format")
    for name in FORMATS:
        if asked == name:
            return name
    if asked is not None:
        raise expected("format", f"one of {', '.join(FORMATS)}", asked)
    return negotiated(accept, _ACCEPTED)


def row_options(query: MultiMapping[str], wanted: Format) -> RowOptions:
    for name, of in {"total": "json", "bom": "csv", "formula_guard": "csv"}.items():
        if name in query and wanted != of:
            raise invalid(name, f"only format={of} takes it, and this is {wanted}")
    return RowOptions(
        total=choice(query, "total", ("none", "estimate", "exact")),
        bom=flag(query, "bom"),
        formula_guard=flag(query, "formula_guard"),
    )


def attachment(version: Version, wanted: Format) -> str:
    """Content-Disposition: the name of the file, `sales-v3.csv` or the job's id; all of a-z, 0-9, _ and -."""
    stem = version.job_id if version.name is None else f"{version.name}-v{version.version}"
    name = f"{stem}.{FORMATS[wanted].extension}"
    return f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
