"""Bind a spec to the schema of its dataset: find every column, check every type."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from shared.errors import Detail, TypeMismatch, UnknownColumn
from shared.spec.faults import Location, pointer, refuse
from shared.spec.functions import FUNCTIONS, Function, Parameter
from shared.spec.grouping import AggregateSpec, TimeBucket
from shared.spec.models import JobSpec
from shared.spec.names import MAX_GUESSES, did_you_mean, listed, quote
from shared.spec.query import Aggregate, Input, Key, Query
from shared.spec.types import Field, Kind, Schema

MisfitValues = Mapping[tuple[str, Kind], str]
"""(column, kind that an aggregate needs) -> a sentence that names the values that are not of the kind."""


def bind(spec: JobSpec, schema: Schema, misfits: MisfitValues = MappingProxyType({})) -> Query:
    """Raises UnknownColumn for all such columns at once, else TypeMismatch for all such parameters at once.

    *misfits* makes the messages of TypeMismatch more helpful.
    """
    refuse(UnknownColumn, _unknown_columns(spec, schema))
    refuse(TypeMismatch, _mismatches(spec, schema, misfits))
    keys = (key.column if isinstance(key, TimeBucket) else key for key in spec.group_by)
    return Query(
        keys=tuple(Key(column=name, name=name, type=schema[name].type) for name in keys),
        aggregates=tuple(made for a in spec.aggregates for made in _aggregates(a, schema)),
        semantics=spec.semantics,
        max_groups=spec.limits.max_groups,
        max_state_bytes=spec.limits.max_state_bytes,
    )


def needed_kinds(spec: JobSpec, schema: Schema) -> set[tuple[str, Kind]]:
    """Undeclared string columns that an aggregate needs as another kind, with that kind."""
    return {
        (field.name, parameter.accepts.parsed_as)
        for _, _, parameter, field in _arguments(spec, schema)
        if parameter.accepts is not None
        and field.type.kind == "string"
        and not field.declared
        and parameter.accepts.parsed_as != "string"
    }


def _named_columns(spec: JobSpec) -> Iterator[tuple[Location, str]]:
    """The location and the name wherever the spec names a column of the dataset."""
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
    """Every column that an aggregate is given: (pointer, function, parameter, column)."""
    for i, aggregate in enumerate(spec.aggregates):
        function = FUNCTIONS[aggregate.fn]
        for parameter, name in aggregate.columns.items():
            yield pointer("aggregates", i, parameter), function, function.parameters[parameter], schema[name]


def _mismatches(spec: JobSpec, schema: Schema, misfits: MisfitValues) -> Iterator[Detail]:
    for at, function, parameter, field in _arguments(spec, schema):
        if parameter.accepts is not None and field.type.kind not in parameter.accepts.kinds:
            advice = _advice(field, misfits.get((field.name, parameter.accepts.parsed_as)))
            detail = (
                f"{function.name} needs {parameter.accepts.name}, "
                f"and {quote(field.name)} is {field.type}: {advice}"
            )
            yield {"pointer": at, "detail": detail}


def _advice(field: Field, misfit: str | None) -> str:
    takers = ", ".join(
        name for name, function in FUNCTIONS.items() if field.type.kind in function.first_accepts.kinds
    )
    if field.declared:
        return f"source.types declares it so, and a {field.type} can be given to {takers}"
    if field.type.kind == "string":
        return f"{misfit or 'source.types can declare another type'}; a string can be given to {takers}"
    return f"a {field.type} can be given to {takers}"


def _aggregates(aggregate: AggregateSpec, schema: Schema) -> Iterator[Aggregate]:
    """One for each result column: a list of `q` makes several."""
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
