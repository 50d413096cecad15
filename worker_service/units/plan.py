"""The plan unit: from URIs to files, one schema, type-checked aggregates and chunk boundaries.

The boundaries are proven if the unit's payload says so.
"""

from dataclasses import replace

from shared.core.plan import Plan, PlanPayload, schema_of
from shared.db.units import Lease, NewUnit
from shared.fault_points import reached
from shared.settings import Settings
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.query import Query
from shared.spec.types import parse_result_type, widenings
from shared.spec.width import check_width
from shared.storage.sources import locate, source_rules
from worker_service.context import Context, Unplanned
from worker_service.executors.protocol import Child
from worker_service.messages import Access, ByteLimit, PlanTask
from worker_service.units.publish import result_columns


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
    if name is not None and version is not None:
        fields = () if plan.self_describing else schema.fields
        undecided = _undecided(query, {field.name for field in fields if not field.declared})
        await ctx.publishing.check_columns(job.row.tenant, name, version, columns, undecided)


def _undecided(query: Query, open_fields: set[str]) -> dict[str, set[str]]:
    """Result column -> the types that it may yet get.

    A value may widen one of *open_fields*. An integer sum may become too large.
    """
    found: dict[str, set[str]] = {}
    made = [(key.name, key.type, {key.column}) for key in query.keys]
    made += [(each.name, each.result, set(each.columns)) for each in query.aggregates]
    for name, of, columns in made:
        wider = widenings(of.kind) if columns & open_fields else []
        found[name] = {str(replace(of, kind=kind, precision=0, scale=0)) for kind in wider}
    for aggregate in query.aggregates:
        if aggregate.may_widen:
            found[aggregate.name].add("decimal(38,0)")
    return found


def _max_bytes(spec: JobSpec, settings: Settings) -> ByteLimit:
    if spec.limits.max_bytes is None:
        return ByteLimit(settings.max_bytes, "GRISTMILL_MAX_BYTES")
    return ByteLimit(spec.limits.max_bytes, "limits.max_bytes")
