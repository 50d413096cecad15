"""The plan unit: from URIs to files, one schema, type-checked aggregates and chunk boundaries.

The boundaries are proven if the unit's payload says so.
"""

from collections.abc import Collection, Mapping

from shared.core.plan import Plan, PlanPayload, schema_of
from shared.db.units import Lease, NewUnit
from shared.fault_points import reached
from shared.settings import Settings
from shared.spec.bind import bind
from shared.spec.functions import FUNCTIONS
from shared.spec.models import JobSpec
from shared.spec.query import Query
from shared.spec.types import EVERY_TYPE, FLOAT64, INT64, DataType, Kind, Schema, parse_result_type
from shared.spec.width import check_width
from shared.storage.sources import locate, source_rules
from worker_service.context import Context, Unplanned
from worker_service.executors.protocol import Child
from worker_service.messages import Access, ByteLimit, PlanTask
from worker_service.units.publish import result_columns

_TWO = {INT64, FLOAT64}


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
    )
    async with child.run(task, lease.allowed) as answer:
        result = answer.result
    await _check_result(ctx, job, result.plan)
    chunks = (
        NewUnit(no=no, payload=chunk.payload, bytes=chunk.bytes) for no, chunk in enumerate(result.chunks())
    )
    reached("plan.before_insert")
    await ctx.units.complete_plan(lease, result.plan, chunks)
    reached("plan.after_commit")


async def _check_result(ctx: Context, job: Unplanned, plan: Plan) -> None:
    """Raises before the scan any error that would keep the result from being stored or published."""
    schema = schema_of(plan.schema)
    query = bind(job.spec, schema)
    columns = result_columns(query)
    check_width([parse_result_type(column["type"]) for column in columns])
    name, version = job.row.result_name, job.row.version
    replaces = job.spec.output.on_schema_change == "replace"
    if name is not None and version is not None and not replaces:
        fields = () if plan.self_describing else schema.fields
        undecided = _undecided(query, {field.name: field.wider for field in fields})
        await ctx.publishing.check_columns(
            job.row.tenant, name, version, columns, undecided=undecided, origins=_origins(query, schema)
        )


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
    own = {name for name, function in FUNCTIONS.items() if {function.result(t) for t in _TWO} == _TWO}
    keys = {key.name: schema[key.column].column for key in query.keys if key.column in schema}
    kept = {a.name: a.columns[0] for a in query.aggregates if a.fn in own and a.columns[0] in schema}
    return keys | kept


def _max_bytes(spec: JobSpec, settings: Settings) -> ByteLimit:
    if spec.limits.max_bytes is None:
        return ByteLimit(settings.max_bytes, "GRISTMILL_MAX_BYTES")
    return ByteLimit(spec.limits.max_bytes, "limits.max_bytes")
