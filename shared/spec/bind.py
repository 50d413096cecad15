"""A spec meets the dataset's schema: every column found, every type accepted."""

from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType

from shared.errors import Detail, TypeMismatch, UnknownColumn, UsageError
from shared.spec.functions import FUNCTIONS, Function, Parameter
from shared.spec.grouping import AggregateSpec, TimeBucket
from shared.spec.models import JobSpec
from shared.spec.names import MAX_GUESSES, did_you_mean, listed, quote
from shared.spec.part import MAX_FAULTS
from shared.spec.pointers import Location, pointer, summary
from shared.spec.query import Aggregate, Input, Key, Query
from shared.spec.types import Field, Kind, Schema

Culprits = Mapping[tuple[str, Kind], str]
"""A column, and as which kind it was to be read -> which values made it a string."""


def bind(spec: JobSpec, schema: Schema, culprits: Culprits = MappingProxyType({})) -> Query:
    """Raises UnknownColumn, else TypeMismatch, each with all of its kind at once."""
    _refuse(UnknownColumn, _unknown_columns(spec, schema))
    _refuse(TypeMismatch, _mismatches(spec, schema, culprits))
    keys = (key.column if isinstance(key, TimeBucket) else key for key in spec.group_by)
    return Query(
        keys=tuple(Key(column=name, name=name, type=schema[name].type) for name in keys),
        aggregates=tuple(made for a in spec.aggregates for made in _aggregates(a, schema)),
        semantics=spec.semantics,
        max_groups=spec.limits.max_groups,
        max_state_bytes=spec.limits.max_state_bytes,
    )


def texts_wanted(spec: JobSpec, schema: Schema) -> set[tuple[str, Kind]]:
    """Undeclared string columns that aggregates take as something else, and as which kind."""
    return {
        (field.name, parameter.accepts.reads)
        for _, _, parameter, field in _arguments(spec, schema)
        if parameter.accepts is not None
        and field.type.kind == "string"
        and not field.declared
        and parameter.accepts.reads != "string"
    }


def _refuse(error: type[UsageError], found: Iterator[Detail]) -> None:
    if details := list(islice(found, MAX_FAULTS)):
        raise error(summary(details), errors=details)


def _named_columns(spec: JobSpec) -> Iterator[tuple[Location, str]]:
    """Every place of the spec that names a column of the dataset."""
    yield from ((("source", "types", name), name) for name in spec.source.types)
    for i, key in enumerate(spec.group_by):
        yield (
            (("group_by", i, "column"), key.column) if isinstance(key, TimeBucket) else (("group_by", i), key)
        )
    for i, aggregate in enumerate(spec.aggregates):
        yield from ((("aggregates", i, parameter), name) for parameter, name in aggregate.columns.items())


def _unknown_columns(spec: JobSpec, schema: Schema) -> Iterator[Detail]:
    names = schema.names
    there_are = f"the data has {listed(names)}" if names else "the data has no columns"
    unknown = ((loc, name) for loc, name in _named_columns(spec) if name not in schema)
    for no, (loc, name) in enumerate(unknown):
        guess = did_you_mean(name, names) if no < MAX_GUESSES else ""
        hint = f"{guess}{' ' if guess else '; '}{there_are}" if no < MAX_GUESSES else ""
        yield {"pointer": pointer(*loc), "detail": f"there is no column {quote(name)}{hint}"}


def _arguments(spec: JobSpec, schema: Schema) -> Iterator[tuple[str, Function, Parameter, Field]]:
    """Every column that an aggregate is given: the pointer to it, who takes it, as which parameter, and the column."""
    for i, aggregate in enumerate(spec.aggregates):
        function = FUNCTIONS[aggregate.fn]
        for parameter, name in aggregate.columns.items():
            yield pointer("aggregates", i, parameter), function, function.parameters[parameter], schema[name]


def _mismatches(spec: JobSpec, schema: Schema, culprits: Culprits) -> Iterator[Detail]:
    for at, function, parameter, field in _arguments(spec, schema):
        if parameter.accepts is not None and field.type.kind not in parameter.accepts.kinds:
            why = _cure(field, culprits.get((field.name, parameter.accepts.reads)))
            yield {
                "pointer": at,
                "detail": f"{function.name} needs {parameter.accepts.what}, and {quote(field.name)} is {field.type}: {why}",
            }


def _cure(field: Field, culprit: str | None) -> str:
    takers = ", ".join(
        name for name, function in FUNCTIONS.items() if field.type.kind in function.first_accepts.kinds
    )
    if field.declared:
        return f"source.types declares it so, and a {field.type} can be given to {takers}"
    if field.type.kind == "string":
        cure = (
            f"{culprit}; set source.csv.null_values if that stands for null"
            if culprit
            else "source.types can declare another type"
        )
        return f"{cure}; a string can be given to {takers}"
    return f"a {field.type} can be given to {takers}"


def _aggregates(aggregate: AggregateSpec, schema: Schema) -> Iterator[Aggregate]:
    """One for each column that it makes: a list of `q` makes several."""
    function = FUNCTIONS[aggregate.fn]
    inputs = tuple(Input(name, schema[name].type) for name in aggregate.columns.values())
    of = inputs[0].type if inputs else None
    for name, q in zip(aggregate.result_columns, aggregate.quantiles, strict=True):
        yield Aggregate(
            fn=aggregate.fn,
            name=name,
            inputs=inputs,
            result=function.result(of),
            may_widen=of is not None and of.kind in function.may_widen,
            ddof=1 if aggregate.ddof is None else aggregate.ddof,
            q=q,
            k=aggregate.k or 1,
        )
