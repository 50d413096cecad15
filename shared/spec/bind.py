"""Bind a spec to the schema of the columns that it uses: check every type."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from shared.errors import Detail, TypeMismatch
from shared.spec.faults import pointer, refuse
from shared.spec.functions import FUNCTIONS, Function, Parameter
from shared.spec.grouping import AggregateSpec, TimeBucket
from shared.spec.models import JobSpec
from shared.spec.names import quote
from shared.spec.query import Aggregate, Input, Key, Query
from shared.spec.types import Field, Kind, Schema

MisfitValues = Mapping[tuple[str, Kind], str]
"""(column, kind that an aggregate needs) -> a sentence that names the values that are not of the kind."""


def bind(spec: JobSpec, schema: Schema, misfits: MisfitValues = MappingProxyType({})) -> Query:
    """Raises TypeMismatch for all such parameters at once.

    *schema* has all columns in use. *misfits* makes the messages of TypeMismatch more helpful.
    """
    refuse(TypeMismatch, _mismatches(spec, schema, misfits))
    keys = (key.column if isinstance(key, TimeBucket) else key for key in spec.group_by)
    return Query(
        keys=tuple(Key(column=schema.key(name).name, name=name, type=schema.key(name).type) for name in keys),
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
        advice = (
            f"{misfit}; set source.csv.null_values if that stands for null"
            if misfit
            else "source.types can declare another type"
        )
        return f"{advice}; a string can be given to {takers}"
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
