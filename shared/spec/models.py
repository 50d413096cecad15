"""The job spec as pydantic models: all keys, all defaults, and all rules that need no data.

The marks of `objects` say which values this version does not support yet.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from shared.spec import values as v
from shared.spec.expressions import columns
from shared.spec.expressions.text import ExpressionText
from shared.spec.faults import Location, raise_faults, repeated
from shared.spec.grouping import AggregateSpec, GroupKey, TimeBucket, key_name
from shared.spec.names import MAX_GUESSES, did_you_mean, listed, quote
from shared.spec.objects import SpecObject
from shared.spec.query import Semantics
from shared.spec.source import CsvOptions, SourceSpec

__all__ = [
    "AggregateSpec",
    "CsvOptions",
    "JobSpec",
    "Limits",
    "Options",
    "OutputSpec",
    "SourceSpec",
    "TimeBucket",
]

QUARANTINED = 1000
"""The most bad rows of a job that quarantines them, unless its spec says otherwise."""
MAX_KEYS = 32
"""A Postgres index has at most so many columns."""


class Computed(SpecObject):
    """A column made by an expression: of the dataset in `derive`, of the result in `compute`."""

    expr: ExpressionText
    as_: Annotated[v.ResultColumn, Field(alias="as")]


Index = Annotated[tuple[str, ...], v.at_most(MAX_KEYS), v.NOT_EMPTY]
"""Result columns, each with an optional leading "-" for descending."""


class OutputSpec(SpecObject):
    name: v.ResultName | None = None
    indexes: Annotated[tuple[Index, ...], v.at_most(16)] = ()
    versions: Annotated[v.Integer, Field(ge=1, le=100)] = 3
    expires: v.Duration | None = None
    on_schema_change: Literal["fail", "replace"] = "fail"


class Options(SpecObject):
    priority: Annotated[v.Integer, Field(ge=0, le=9)] = 5
    on_bad_row: Literal["fail", "skip", "quarantine"] = "fail"
    max_bad_rows: v.Count | None = None
    chunk_bytes: v.Size | None = None
    max_parallel_chunks: v.Slots | None = None
    deadline: v.Duration | None = None

    @property
    def most_bad_rows(self) -> int | None:
        """The most bad rows that the job may have; None: any number."""
        if self.on_bad_row == "fail":
            return 0
        if self.max_bad_rows is None and self.on_bad_row == "quarantine":
            return QUARANTINED
        return self.max_bad_rows


class Limits(SpecObject):
    max_groups: v.Size = 5_000_000
    max_bytes: v.Size | None = None
    max_chunks: v.Size = 100_000
    max_state_bytes: v.Size = 8 * 1024**3


class JobSpec(SpecObject):
    """A whole, valid spec with all defaults filled in.

    It may still hold values that are not supported yet (see `unsupported_fields`).
    """

    source: SourceSpec
    derive: Annotated[tuple[Computed, ...], v.at_most(1000)] = ()
    where: ExpressionText | None = None
    group_by: Annotated[tuple[GroupKey, ...], v.at_most(MAX_KEYS)]
    aggregates: Annotated[tuple[AggregateSpec, ...], v.at_most(400), v.NOT_EMPTY]
    compute: Annotated[tuple[Computed, ...], v.at_most(400)] = ()
    having: ExpressionText | None = None
    semantics: Semantics = "sql"
    output: OutputSpec = OutputSpec()
    options: Options = Options()
    limits: Limits = Limits()
    labels: Annotated[dict[v.LabelKey, v.LabelValue], v.at_most(32), Field(default_factory=dict)]

    @field_validator("derive")
    @classmethod
    def _distinct_derived(cls, derived: tuple[Computed, ...]) -> tuple[Computed, ...]:
        raise_faults(
            chain(repeated([((i, "as"), d.as_) for i, d in enumerate(derived)]), _too_early(derived))
        )
        return derived

    @field_validator("group_by")
    @classmethod
    def _distinct_keys(cls, keys: tuple[GroupKey, ...]) -> tuple[GroupKey, ...]:
        raise_faults(
            repeated(
                [
                    ((i, "as") if isinstance(key, TimeBucket) else (i,), key_name(key))
                    for i, key in enumerate(keys)
                ]
            )
        )
        return keys

    @field_validator("aggregates")
    @classmethod
    def _distinct_aggregates(
        cls, aggregates: tuple[AggregateSpec, ...], info: ValidationInfo
    ) -> tuple[AggregateSpec, ...]:
        keys = [key_name(key) for key in info.data.get("group_by", ())]
        raise_faults(
            repeated([((i, "as"), name) for i, a in enumerate(aggregates) for name in a.result_columns], keys)
        )
        return aggregates

    @field_validator("compute")
    @classmethod
    def _distinct_computed(cls, computed: tuple[Computed, ...], info: ValidationInfo) -> tuple[Computed, ...]:
        columns = _result_columns(info)
        raise_faults(repeated([((i, "as"), c.as_) for i, c in enumerate(computed)], columns))
        if {"group_by", "aggregates"} <= info.data.keys():
            made = [c.as_ for c in computed]
            raise_faults(
                fault
                for i, c in enumerate(computed)
                for fault in _unknown_names((i, "expr"), c.expr, [*columns, *made[:i]])
            )
        return computed

    @field_validator("having")
    @classmethod
    def _having_of_result_columns(
        cls, having: ExpressionText | None, info: ValidationInfo
    ) -> ExpressionText | None:
        if having is not None and {"group_by", "aggregates", "compute"} <= info.data.keys():
            columns = [*_result_columns(info), *(c.as_ for c in info.data["compute"])]
            raise_faults(_unknown_names((), having, columns))
        return having

    @field_validator("output")
    @classmethod
    def _indexes_of_result_columns(cls, output: OutputSpec, info: ValidationInfo) -> OutputSpec:
        if {"group_by", "aggregates", "compute"} <= info.data.keys():
            columns = [*_result_columns(info), *(c.as_ for c in info.data["compute"])]
            raise_faults(_index_faults(output.indexes, columns))
        return output


def _result_columns(info: ValidationInfo) -> list[str]:
    keys, aggregates = info.data.get("group_by", ()), info.data.get("aggregates", ())
    return [*map(key_name, keys), *(name for a in aggregates for name in a.result_columns)]


def _too_early(derived: tuple[Computed, ...]) -> Iterator[tuple[Location, str]]:
    """Every name of a column that a later entry makes."""
    made = {d.as_: i for i, d in enumerate(derived)}
    for i, d in enumerate(derived):
        for column in columns(d.expr.tree):
            if (later := made.get(column.name, i)) > i:
                advice = f"is made by derive/{later}; move that entry before this one"
                yield (i, "expr"), f"column {column.at}: {quote(column.name)} {advice}"


def _unknown_names(at: Location, expr: ExpressionText, known: list[str]) -> Iterator[tuple[Location, str]]:
    """Every name in *expr* that is no column of the result."""
    for no, column in enumerate(c for c in columns(expr.tree) if c.name not in known):
        guess = did_you_mean(column.name, known) if no < MAX_GUESSES else ""
        hint = f"{guess}{' ' if guess else '; '}there are {listed(known)}" if no < MAX_GUESSES else ""
        yield at, f"column {column.at}: {quote(column.name)} is not a column of the result{hint}"


def _index_faults(indexes: tuple[Index, ...], columns: list[str]) -> Iterator[tuple[Location, str]]:
    known, wrong = set(columns), 0
    for i, index in enumerate(indexes):
        names = [name.removeprefix("-") for name in index]
        for j, name in enumerate(names):
            if name not in known:
                hint = (
                    did_you_mean(name, columns) or f"; there are {listed(columns)}"
                    if wrong < MAX_GUESSES
                    else ""
                )
                wrong += 1
                yield ("indexes", i, j), f"{quote(name)} is not a column of the result{hint}"
            elif name in names[:j]:
                yield ("indexes", i, j), f"{quote(name)} is in this index already"
