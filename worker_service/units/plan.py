"""The plan unit: from URIs to files, one schema, type-checked aggregates and chunk boundaries.

The boundaries are proven if the unit's payload says so. The unit of a dry run looks at the data, too. That
of a job with a stored plan only checks that the files are unchanged.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec

from shared.core.columns import misfits
from shared.core.look import estimated_seconds
from shared.core.plan import DatasetFile, Plan, PlanPayload, columns_of, schema_of
from shared.db.units import Done, Lease, NewUnit
from shared.errors import SourceChanged
from shared.fault_points import reached
from shared.settings import Settings
from shared.spec.bind import bind
from shared.spec.functions import FUNCTIONS
from shared.spec.models import JobSpec
from shared.spec.query import Query
from shared.spec.types import (
    EVERY_TYPE,
    FLOAT64,
    INT64,
    DataType,
    Field,
    Kind,
    Schema,
    parse_result_type,
    parse_type,
)
from shared.spec.width import check_width
from shared.storage.sources import locate, source_rules
from worker_service.context import Context, Unplanned
from worker_service.executors.protocol import Child
from worker_service.messages import Access, ByteLimit, FindTask, PlanResult, PlanTask
from worker_service.units.publish import result_columns
from worker_service.units.watched import finished

_TWO = {INT64, FLOAT64}
_ANY_VERSION = 2**31 - 1


async def run(ctx: Context, lease: Lease, job: Unplanned, child: Child) -> None:
    assert isinstance(lease.payload, PlanPayload)
    spec, rules = job.spec, source_rules(ctx.settings)
    task = PlanTask(
        spec=job.spec_json,
        locations=tuple(
            locate(uri, f"#/source/uris/{no}", rules, job.row.tenant)
            for no, uri in enumerate(spec.source.uris)
        ),
        access=Access.of(ctx.settings),
        max_names=ctx.settings.max_listed_names,
        max_bytes=_max_bytes(spec, ctx.settings),
        chunk_bytes=spec.options.chunk_bytes or ctx.settings.chunk_bytes,
        max_chunks=spec.limits.max_chunks,
        prove=lease.payload.prove,
        look=lease.payload.look,
    )
    stored = await ctx.plans.stored(lease.job_id) if lease.payload.stored else None
    if stored is not None and stored[1] is not None:
        found = FindTask(
            spec=task.spec, locations=task.locations, access=task.access, max_names=task.max_names
        )
        async with child.run(found, lease.allowed) as files:
            check_unchanged(stored[0].files, files.result.files)
        result = PlanResult(stored[0], stored[1])
    else:
        async with child.run(task, lease.allowed) as answer:
            result = answer.result
        if stored is not None:
            check_unchanged(stored[0].files, result.plan.files)
    plan = await _following(ctx, job, result.plan)
    query = await _checked(ctx, job, plan)
    chunks = (
        NewUnit(no=no, payload=chunk.payload, bytes=chunk.bytes) for no, chunk in enumerate(result.chunks())
    )
    seconds = estimated_seconds(plan.bytes, await ctx.plans.recent(plan.format)) if result.look else None
    reached("plan.before_insert")
    if result.look is not None:
        look = msgspec.structs.replace(result.look, seconds=seconds)
        texts = result.chunk_texts if look.chunks.accuracy == "exact" else None
        await ctx.units.complete_look(lease, result.plan, texts, look)
        finished((lease, Done()))
        return
    await ctx.units.complete_plan(lease, plan, chunks)
    finished((lease, Done()))
    reached("plan.after_commit")
    ctx.keep(job, plan, query)


def check_unchanged(planned: Sequence[DatasetFile], found: Sequence[DatasetFile]) -> None:
    """Raise SourceChanged unless the files of a stored plan are those that are *found* now."""
    before, now = ({file.uri: (file.identity, file.member) for file in files} for files in (planned, found))
    if list(before.items()) == list(now.items()):
        return
    gone, new = before.keys() - now.keys(), now.keys() - before.keys()
    changed = {uri for uri in before.keys() & now.keys() if before[uri] != now[uri]}
    causes = ((gone, "is gone"), (new, "is new"), (changed, "changed"))
    told = [
        f"{min(uris)}{f' and {len(uris) - 1} more' if len(uris) > 1 else ''} {cause}"
        for uris, cause in causes
        if uris
    ] or ["the files have another order"]
    raise SourceChanged(f"{', '.join(told)} since the plan was made; make a new plan, or submit the spec")


def _target(job: Unplanned) -> tuple[str | None, int | None]:
    """The named result that the job is to replace, and its version.

    A dry run has none of its own. It is checked against the version that is published now.
    """
    if job.row.result_name is None and job.spec.output.name is not None:
        return job.spec.output.name, _ANY_VERSION
    return job.row.result_name, job.row.version


async def _following(ctx: Context, job: Unplanned, plan: Plan) -> Plan:
    """*plan* with the types of the published version, where the data may get them anyway."""
    name, version = _target(job)
    if (
        name is None
        or version is None
        or plan.self_describing
        or job.spec.output.on_schema_change == "replace"
    ):
        return plan
    published = await ctx.publishing.published_columns(job.row.tenant, name, version)
    schema = like_published(job.spec, schema_of(plan.schema), published)
    return msgspec.structs.replace(plan, schema=columns_of(schema))


def like_published(spec: JobSpec, schema: Schema, published: Sequence[dict[str, str]]) -> Schema:
    """*schema* with undeclared columns as wide as in the published version, if that can follow then.

    A value may give a column such a type later too. A key becomes text, because it keeps its spelling; other
    columns do not.
    """
    types = {column["name"]: column["type"] for column in published}
    query = bind(spec, schema)
    wanted: dict[str, set[str]] = {}
    for result, field in _own_fields(query):
        wanted.setdefault(field, set()).add(types.get(result, ""))

    def followed(field: Field) -> Field:
        kinds = {str(DataType(kind)) for kind in field.wider if kind != "string" or field.key}
        one = wanted.get(field.name, set())
        return replace(field, type=parse_type(*one)) if len(one) == 1 and one <= kinds else field

    wide = Schema(tuple(map(followed, schema.fields)))
    if wide == schema:
        return schema
    columns = result_columns(bind(spec, wide))
    undecided = _undecided(query, {field.name: field.wider for field in wide.fields})
    return schema if misfits(published, columns, undecided) else wide


def _own_fields(query: Query) -> Iterator[tuple[str, str]]:
    """Result columns that have the type of a field, and its name."""
    own = {name for name, function in FUNCTIONS.items() if {function.result(t) for t in _TWO} == _TWO}
    yield from ((key.name, key.column) for key in query.keys)
    yield from ((each.name, each.columns[0]) for each in query.aggregates if each.fn in own)


async def _checked(ctx: Context, job: Unplanned, plan: Plan) -> Query:
    """The spec, bound to the plan's schema.

    Raises before the scan any error that would keep the result from being stored or published.
    """
    schema = schema_of(plan.schema)
    query = bind(job.spec, schema)
    columns = result_columns(query)
    check_width([parse_result_type(column["type"]) for column in columns])
    name, version = _target(job)
    replaces = job.spec.output.on_schema_change == "replace"
    if name is not None and version is not None and not replaces:
        fields = () if plan.self_describing else schema.fields
        undecided = _undecided(query, {field.name: field.wider for field in fields})
        await ctx.publishing.check_columns(
            job.row.tenant, name, version, columns, undecided=undecided, origins=_origins(query, schema)
        )
    return query


def _undecided(query: Query, wider: Mapping[str, list[Kind]]) -> dict[str, Collection[str]]:
    """Result column -> the types that it may yet get.

    A value may widen a field to one of the kinds in *wider*. A column that an expression makes of such a
    field may get any type. An integer sum may become too large.
    """
    made = query.made_of({name for name, kinds in wider.items() if kinds})
    found: dict[str, Collection[str]] = {}
    for key in query.keys:
        kinds = wider.get(key.column, ())
        found[key.name] = EVERY_TYPE if key.column in made else {str(DataType(kind)) for kind in kinds}
    for aggregate in query.aggregates:
        function, column = FUNCTIONS[aggregate.fn], next(iter(aggregate.columns), "")
        accepted = set(wider.get(column, ())) & set(function.first_accepts.kinds)
        types = {str(function.result(DataType(kind))) for kind in accepted}
        large = {"decimal(38,0)"} if aggregate.may_widen else set()
        found[aggregate.name] = EVERY_TYPE if column in made else types | large
    for each in query.computed:
        found[each.name] = EVERY_TYPE if any(found[column] for column in each.columns) else ()
    return found


def _origins(query: Query, schema: Schema) -> dict[str, str]:
    """Result column -> the column of the dataset whose type it has, whatever that is."""
    return {name: schema[field].column for name, field in _own_fields(query) if field in schema}


def _max_bytes(spec: JobSpec, settings: Settings) -> ByteLimit:
    if spec.limits.max_bytes is None:
        return ByteLimit(settings.max_bytes, "GRISTMILL_MAX_BYTES")
    return ByteLimit(spec.limits.max_bytes, "limits.max_bytes")
