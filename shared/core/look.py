"""The findings of a dry run: the data that a job would read, and estimates of its size and time.

Estimates are pure functions of counts. docs/http.md says by which methods they are made.
"""

from collections.abc import Sequence
from statistics import median
from typing import Any, Literal

import msgspec

from shared.core.plan import Warned
from shared.spec.source import CsvOptions

JobKind = Literal["job", "plan", "look"]
"""A job; the dry run of a spec; that of a source alone, whose spec only counts rows."""
Accuracy = Literal["exact", "estimate", "lower_bound", "unknown"]

SHOWN_FILES, SHOWN_COLUMNS, SHOWN_ROWS = 100, 1000, 20
LARGE_BYTES = 8 << 20
"""A job of fewer bytes tells the fixed costs of a job; another one tells its throughput."""
_FIXED_SECONDS, _BYTES_PER_SECOND = 0.5, 100e6
_SPREAD = 4
"""Without any job to measure, a job may be so many times as slow or as fast as is assumed."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A count. `method` says how it was found; `value` is None if it is unknown."""

    value: int | None
    accuracy: Accuracy
    method: str


class SecondsEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of work in all; `low` and `high` are the range. `method` names the source of the pace."""

    value: float
    low: float
    high: float
    accuracy: Accuracy
    method: str


class LookedFile(msgspec.Struct, frozen=True):
    uri: str
    bytes: int
    compression: str


class LookedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the dataset. `type` is None where it is not known: no spec can use the column as it is.

    With *key*, it is read for its spelling. `nulls` is the share of nulls among the first rows.
    """

    name: str
    type: str | None
    used: bool
    declared: bool
    key: bool = False
    nulls: float | None = None


class SampleRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record: its `values` by column, or `bad`, the reason why it fits no row, with its place.

    `cut` names the columns whose texts are only the beginning.
    """

    values: dict[str, Any] | None = None
    cut: tuple[str, ...] = ()
    bad: dict[str, Any] | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """`files` and `columns` are the first ones of `file_count` and `column_count`.

    `csv` are the options that CSV is read with, None for other formats.
    """

    files: tuple[LookedFile, ...]
    file_count: int
    bytes: int
    format: str
    compression: str
    csv: dict[str, Any] | None
    columns: tuple[LookedColumn, ...]
    column_count: int
    sample: tuple[SampleRow, ...]
    warnings: tuple[Warned, ...]
    chunks: Estimate
    rows: Estimate
    groups: Estimate
    seconds: SecondsEstimate | None = None


def dialect(options: CsvOptions) -> dict[str, Any]:
    """The options of CSV as they are taken, by the names of the spec."""
    return {name: getattr(options, name) for name in CsvOptions.model_fields}


def estimated_rows(
    exact: int | None, seen: int, content_bytes: float | None, spanned: int, bytes_: int
) -> Estimate:
    """The rows of a dataset.

    *exact* is their number, if it is known. *seen* records are in a sample, *spanned* of these take *bytes_*;
    all records take *content_bytes*, if that is known.
    """
    if exact is not None:
        return Estimate(value=exact, accuracy="exact", method="counted")
    if content_bytes is not None and bytes_ > 0:
        value = max(round(content_bytes * spanned / bytes_), seen)
        return Estimate(value=value, accuracy="estimate", method="bytes by the mean record of a sample")
    return Estimate(value=seen, accuracy="lower_bound", method="rows of a sample")


def estimated_groups(rows: Estimate, read: int, sampled: int, groups: int, once: int) -> Estimate:
    """The groups of a dataset of *rows*, of which *read* are in a sample.

    *sampled* of these are in *groups* groups; *once* groups have one row. The estimator is Duj1 of Haas and
    Stokes (1998), as in ANALYZE of Postgres.
    """
    if rows.accuracy == "exact" and rows.value == read:
        return Estimate(value=groups, accuracy="exact", method="counted")
    if rows.value is None or rows.accuracy == "lower_bound" or not sampled:
        return Estimate(value=groups, accuracy="lower_bound", method="groups of a sample")
    population = max(rows.value * sampled / max(read, 1), sampled)
    value = sampled * groups / (sampled - once + once * sampled / population)
    bounded = min(max(round(value), groups), round(population))
    return Estimate(value=bounded, accuracy="estimate", method="Duj1 over a sample")


def estimated_seconds(size: int, recent: Sequence[tuple[int, float]]) -> SecondsEstimate:
    """The seconds that a job over *size* bytes takes, by the bytes and seconds of *recent* jobs."""
    paces = [bytes_ / seconds for bytes_, seconds in recent if bytes_ >= LARGE_BYTES and seconds > 0]
    fixed = [seconds for bytes_, seconds in recent if bytes_ < LARGE_BYTES]
    pace, slow, fast = _BYTES_PER_SECOND, _BYTES_PER_SECOND / _SPREAD, _BYTES_PER_SECOND * _SPREAD
    first, least, most = _FIXED_SECONDS, _FIXED_SECONDS / _SPREAD, _FIXED_SECONDS * _SPREAD
    if paces:
        pace, slow, fast = median(paces), min(paces), max(paces)
    if fixed:
        first, least, most = median(fixed), min(fixed), max(fixed)
    measured = len(paces) if size >= LARGE_BYTES else len(fixed)
    told = f"{measured} recent jobs of this format" if measured else "assumed: no recent job of this format"
    return SecondsEstimate(
        value=round(first + size / pace, 2),
        low=round(least + size / fast, 2),
        high=round(most + size / slow, 2),
        accuracy="estimate",
        method=told,
    )
