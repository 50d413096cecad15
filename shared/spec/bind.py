"""Bind a spec to the schema of the columns that it uses: check every type."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from shared.errors import Detail, TypeMismatch
from shared.spec.buckets import CALENDAR
from shared.spec.faults import Location, pointer, refuse
from shared.spec.functions import FUNCTIONS
from shared.spec.grouping import AggregateSpec, TimeBucket, key_name
from shared.spec.models import JobSpec
from shared.spec.names import in_expression, quote
from shared.spec.query import MADE_MARK, Aggregate, Bucketing, Input, Key, Made, Query
from shared.spec.scope import Scope
from shared.spec.signature import NUMBER, TIME, Accepts
from shared.spec.types import BOOL, STRING, DataType, Kind, Schema

MisfitValues = Mapping[tuple[str, Kind], str]
"""(column, kind that the spec needs) -> a sentence that names the values that are not of the kind."""

_NEEDED: dict[str, Kind] = {"number": "float64", "time": "timestamp", "bool": "bool"}
"""The sort of value that most texts of a column read as -> the kind that an expression needs of it."""
_OF_NUMBERS: dict[Kind, str] = {
    "timestamp": "numbers, such as seconds since 1970, are not read as times; write times into the data",
    "bool": "derive a bool from it, by an expression such as {1} != 0; {0}",
}
"""The advice for numbers that no entry of `source.types` reads as the kind."""
_LARGE = DataType("decimal", 38, 0)
"""The type that a sum of integers has in `compute` and `having`, since some group may need it."""


def bind(spec: JobSpec, schema: Schema, misfits: MisfitValues = MappingProxyType({})) -> Query:
    """Raises TypeMismatch for all mistakes up to the aggregates at once, else for all behind them.

    *schema* has all columns in use. *misfits* makes the messages of TypeMismatch more helpful.
    """
    binding = _Binding(spec, schema, misfits)
    refuse(TypeMismatch, binding.faults)
    query = binding.query()
    large = {aggregate.name: _LARGE for aggregate in query.aggregates if aggregate.may_widen}
    scope = Scope({**query.result, **large}, spec.source.timezone)
    computed = [scope.add(c.as_, c.expr, "compute", i, "expr") for i, c in enumerate(spec.compute)]
    having = scope.condition(MADE_MARK, spec.having, "having")
    refuse(TypeMismatch, scope.faults)
    return replace(query, computed=tuple(filter(None, computed)), having=having)


def needed_kinds(spec: JobSpec, schema: Schema) -> set[tuple[str, Kind]]:
    """Undeclared columns that the spec needs as another kind, with that kind."""
    return _Binding(spec, schema, MappingProxyType({})).needed


class _Binding:
    """The part of a query that is about batches.

    `faults` are the mistakes. `needed` are the undeclared columns among them, each with the kind that it
    should have.
    """

    def __init__(self, spec: JobSpec, schema: Schema, misfits: MisfitValues) -> None:
        self.needed: set[tuple[str, Kind]] = set()
        self._spec, self._schema, self._misfits = spec, schema, misfits
        self._names = {d.as_ for d in spec.derive}
        types = {f.name: f.type for f in schema.fields}
        self._scope = Scope(types, spec.source.timezone, self._culprits, self._misordered)
        self.faults = self._scope.faults
        derived = [self._scope.add(d.as_, d.expr, "derive", i, "expr") for i, d in enumerate(spec.derive)]
        self._derived = tuple(filter(None, derived))
        self._where = self._scope.condition(MADE_MARK, spec.where, "where")
        self._buckets = [self._bucket(i, key) for i, key in enumerate(spec.group_by)]
        self._conditions = [
            self._scope.condition(f"{MADE_MARK}{a.where}", a.where, "aggregates", i, "where")
            for i, a in enumerate(spec.aggregates)
        ]
        for i, a in enumerate(spec.aggregates):
            for parameter, column in a.columns.items():
                accepts = FUNCTIONS[a.fn].parameters[parameter].accepts
                self._takes(("aggregates", i, parameter), a.fn, accepts, column)

    def query(self) -> Query:
        """There must be no faults."""
        spec, aggregates = self._spec, zip(self._spec.aggregates, self._conditions, strict=True)
        made = {each.name: each for each in (*self._buckets, *self._conditions) if each is not None}
        return Query(
            keys=tuple(map(self._key, spec.group_by, self._buckets)),
            aggregates=tuple(bound for a, where in aggregates for bound in self._aggregates(a, where)),
            semantics=spec.semantics,
            max_groups=spec.limits.max_groups,
            max_state_bytes=spec.limits.max_state_bytes,
            derived=self._derived,
            where=self._where,
            made=tuple(made.values()),
        )

    def _key(self, key: str | TimeBucket, bucket: Made | None) -> Key:
        if bucket is not None:
            return Key(column=bucket.name, name=key_name(key), type=bucket.type)
        name = key_name(key)
        if self._is_derived(name):
            return Key(column=name, name=name, type=self._scope.types[name])
        field = self._schema.key(name)
        return Key(column=field.name, name=name, type=field.type)

    def _bucket(self, i: int, key: str | TimeBucket) -> Made | None:
        if isinstance(key, str) or not self._takes(("group_by", i, "column"), "a bucket", TIME, key.column):
            return None
        of, named = self._scope.types[key.column], quote(key.column)
        if of.kind == "date" and key.time_bucket not in CALENDAR:
            told = f"{named} is a date, which has no time of day; use {', '.join(CALENDAR)}"
            if not self._is_derived(key.column) and not self._schema[key.column].declared:
                entry = json.dumps({key.column: "timestamp"}, ensure_ascii=False)
                told += f", or write {entry} into source.types, if its values have a time of day"
            self._fault(("group_by", i, "time_bucket"), told, key.column)
        if of.kind != "timestamptz" and key.tz is not None:
            told = f"{named} is a {of}, which belongs to no zone, and is cut as it stands; leave tz out"
            self._fault(("group_by", i, "tz"), told, key.column)
        zone = (key.tz or self._spec.source.timezone) if of.kind == "timestamptz" else None
        by = Bucketing(column=key.column, of=of, width=key.time_bucket, zone=zone)
        name = f"{MADE_MARK}{by.width} {by.zone} {by.column}"
        return Made(name=name, by=by, columns=(key.column,), at=pointer("group_by", i))

    def _aggregates(self, aggregate: AggregateSpec, where: Made | None) -> Iterator[Aggregate]:
        """One for each result column: a list of `q` makes several.

        A count of the rows that a condition picks is a count of the condition's values in them.
        """
        function, types = FUNCTIONS[aggregate.fn], self._scope.types
        inputs = tuple(Input(name, types[name]) for name in aggregate.columns.values())
        of = inputs[0].type if inputs else None
        if where is not None and not inputs:
            inputs = (Input(where.name, BOOL),)
        for name, q in zip(aggregate.result_columns, aggregate.quantiles, strict=True):
            yield Aggregate(
                fn=aggregate.fn,
                name=name,
                inputs=inputs,
                result=function.result(of),
                where=where.name if where else None,
                may_widen=of is not None and of.kind in function.may_widen,
                ddof=1 if aggregate.ddof is None else aggregate.ddof,
                q=q,
                k=aggregate.k or 1,
            )

    def _takes(self, at: Location, user: str, accepts: Accepts | None, column: str) -> bool:
        """Whether *column* is sound, and of a kind that its *user* accepts. If it is not, that is a fault."""
        if not self._scope.sound(column):
            return False
        of = self._scope.types[column]
        if accepts is None or of.kind in accepts.kinds:
            return accepts is None or not accepts.ordered or self._orders(at, user, column)
        self._need(column, accepts.parsed_as)
        misfit = self._misfits.get((column, accepts.parsed_as))
        advice = misfit if misfit and accepts is TIME else self._advice(column, of, misfit)
        if of.kind in NUMBER.kinds and not (misfit and "source.types" in misfit):
            advice = _OF_NUMBERS.get(accepts.parsed_as, "{0}").format(advice, in_expression(column))
        self._fault(at, f"{user} needs {accepts.name}, and {quote(column)} is {of}: {advice}", column)
        return False

    def _orders(self, at: Location, user: str, column: str) -> bool:
        """Whether the order of the values of *column* is the one that its owner expects; else a fault."""
        told = [found for origin in self._scope.origins(column) if (found := self._misordered(user, origin))]
        if told:
            self._fault(at, told[0], column)
        return not told

    def _misordered(self, user: str, column: str) -> str:
        """The fault if *user* orders the texts of a column of the dataset; empty if there is none."""
        reads = self._schema[column].reads if column in self._schema else ""
        if not reads or self._schema[column].type != STRING:
            return ""
        culprits = self._misfits.get((column, "string"), "other values do not")
        named, as_text = quote(column), json.dumps({column: "string"}, ensure_ascii=False)
        told = f"{user} would order {named} as text, and most of its values read as a {reads}: {culprits}"
        return f"{told}; or write {as_text} into source.types to order it as text"

    def _advice(self, column: str, of: DataType, misfit: str | None) -> str:
        takers = ", ".join(name for name, f in FUNCTIONS.items() if of.kind in f.first_accepts.kinds)
        one = f"an {of}" if of.kind == "int64" else f"a {of}"
        if self._is_derived(column):
            return f"derive makes it so, and {one} can be given to {takers}"
        if self._schema[column].declared:
            return f"source.types declares it so, and {one} can be given to {takers}"
        if of.kind == "string":
            misfit = misfit or "source.types can declare another type"
        return f"{misfit}; {one} can be given to {takers}" if misfit else f"{one} can be given to {takers}"

    def _culprits(self, columns: tuple[str, ...]) -> str:
        """The values for which the *columns* of an expression that fits no types are strings."""
        wanted = {c: _NEEDED.get(self._schema[c].reads, "float64") for c in columns if c in self._schema}
        told = {c: self._misfits.get((c, kind)) for c, kind in wanted.items() if self._need(c, kind)}
        return "".join(f"; {quote(column)}: {misfit}" for column, misfit in told.items() if misfit)

    def _need(self, column: str, kind: Kind) -> bool:
        """Note that an undeclared column should be of *kind*, if a text of it may be read so."""
        if self._is_derived(column) or self._schema[column].declared or kind == "string":
            return False
        of = self._scope.types[column].kind
        may = of == "string" or (of == "int64" and kind != "float64")
        if may:
            self.needed.add((column, kind))
        return may

    def _is_derived(self, column: str) -> bool:
        return column in self._names

    def _fault(self, at: Location, detail: str, column: str) -> None:
        self.faults.append(Detail(pointer=pointer(*at), detail=detail, column=column))
