"""The publish unit: indexes in idempotent steps, one short transaction, and the planner's statistics.

The transaction makes the result visible.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from importlib import metadata

from shared.core.entities import NewVersion
from shared.core.receipt import receipt
from shared.db.shapes import explained
from shared.db.units import Done, Lease
from shared.errors import GroupLimitExceeded, TransientError
from shared.spec.digests import result_digest
from shared.spec.query import Query
from shared.spec.version import STATE_VERSION
from worker_service.context import Context, Planned
from worker_service.units.persist import persist
from worker_service.units.watched import finished

_LARGE = "decimal(38,0)"
_SOFTWARE = {"gristmill": metadata.version("gristmill"), "state_version": STATE_VERSION}


async def run(ctx: Context, lease: Lease, job: Planned) -> None:
    async with explained(ctx.pool, lease, job.query.result):
        await _publish(ctx, lease, job)


async def _publish(ctx: Context, lease: Lease, job: Planned) -> None:
    query = job.query
    merged = await ctx.publishing.merged(lease.job_id)
    replace = job.spec.output.on_schema_change == "replace"
    widened = {name for unit in merged for name in unit.stats.widened}
    if job.row.result_name is not None and job.row.version is not None and not replace:
        published = await ctx.publishing.published_columns(
            job.row.tenant, job.row.result_name, job.row.version
        )
        large = large_sums(query, published) - widened
        await persist(ctx, lambda: ctx.publishing.widen_columns(lease.job_id, sorted(large)))
        widened |= large
    columns = result_columns(query, widened)
    rows, groups = sum(unit.rows for unit in merged), sum(unit.stats.groups for unit in merged)
    if groups > query.max_groups:
        raise GroupLimitExceeded(f"There are {groups:,} groups; limits.max_groups is {query.max_groups:,}")
    await ctx.publishing.build_indexes(
        lease.job_id, [key.name for key in query.keys], [list(index) for index in job.spec.output.indexes]
    )
    digests = {bucket: digest for unit in merged for bucket, digest in unit.stats.buckets.items()}
    version = NewVersion(
        name=job.row.result_name,
        version=job.row.version,
        rows=rows,
        digest=result_digest(columns, digests),
        columns=columns,
        key_columns=len(query.keys),
    )
    write_receipt = partial(
        receipt, plan=job.plan, version=version, semantics=query.semantics, software=_SOFTWARE
    )
    await persist(
        ctx,
        lambda: ctx.publishing.publish(lease, version, write_receipt, job.row.tenant, replace=replace),
    )
    finished((lease, Done()))
    with suppress(TransientError):  # autovacuum and the pruner do it later
        await ctx.publishing.tidy(lease.job_id)


def large_sums(query: Query, published: Iterable[Mapping[str, str]]) -> set[str]:
    """The integer sums that the published version has as decimal(38,0), which holds every int64."""
    large = {column["name"] for column in published if column["type"] == _LARGE}
    return {aggregate.name for aggregate in query.aggregates if aggregate.may_widen} & large


def result_columns(query: Query, widened: set[str] | frozenset[str] = frozenset()) -> list[dict[str, str]]:
    """Names and types of the result.

    An integer sum in *widened* is decimal(38,0), because some group needs it.
    """
    return [
        {"name": name, "type": _LARGE if name in widened else str(of)} for name, of in query.result.items()
    ]
