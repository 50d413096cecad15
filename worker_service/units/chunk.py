"""The chunk unit: read its extents, fold them into a partial, commit partial and ledger together."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import msgspec

from shared.core.plan import ChunkPayload, Extent, columns_of, schema_of
from shared.core.row_counts import RowCounts
from shared.db.partials import Partial
from shared.db.units import Done, Lease
from shared.errors import LeaseLost, SchemaWidened
from shared.fault_points import reached
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.types import SIMPLE, Field, Schema, parse_type
from shared.spec.width import check_width
from shared.storage.sources import own_folders
from worker_service.context import Context, Work
from worker_service.executor import Answer, Child
from worker_service.units.persist import persist
from worker_service.units.reading import reading

PIECE_BYTES = 64 * 1024
"""Small against a merge unit's share of states, so that a piece seldom belongs to several merges, which would all decode it."""


async def run(ctx: Context, lease: Lease, work: Work, child: Child) -> None:
    assert work.plan is not None
    assert isinstance(lease.payload, ChunkPayload)
    files = [work.plan.files[extent.file] for extent in lease.payload.extents]
    request = {
        "task": "chunk",
        "no": lease.no,
        "spec": work.spec,
        "schema": msgspec.to_builtins(work.plan.schema),
        "files": msgspec.to_builtins(files),
        "extents": [_positional(extent) for extent in lease.payload.extents],
        "own_folders": own_folders(ctx.settings),
        "hidden": ctx.settings.allow_hidden_sources,
        "batch_bytes": batch_bytes(ctx, lease),
        "piece_bytes": PIECE_BYTES,
    }
    try:
        async with reading(child, request, [file.uri for file in files], lease.allowed) as answer:
            reached("chunk.computed")
            await _commit(ctx, lease, answer)
    except SchemaWidened as widened:
        await _widen(ctx, lease, work, widened)


def _positional(extent: Extent) -> list[Any]:
    guesses = None if extent.guesses is None else [[guess.target, guess.start] for guess in extent.guesses]
    return [extent.file, extent.start, extent.end, extent.rows, guesses]


def batch_bytes(ctx: Context, lease: Lease) -> int:
    """Half as much after each time that memory ran out."""
    return max(ctx.settings.batch_bytes >> lease.ooms, 1)


async def _commit(ctx: Context, lease: Lease, answer: Answer) -> None:
    header = answer.header
    groups = sum(piece[2] for piece in header["pieces"])
    counts = RowCounts(
        read=header["rows_read"],
        aggregated=header["rows_aggregated"],
        dropped_null_key=header["rows_dropped"],
    )
    done = Done(counts=counts, rows_out=groups)
    await persist(ctx, lambda: ctx.partials.commit(lease, done, _partials(answer)))


def _partials(answer: Answer) -> Iterator[Partial]:
    offset = 0
    for first, last, groups, size in answer.header["pieces"]:
        yield Partial(first, last, groups, answer.body(offset, size))
        offset += size


async def _widen(ctx: Context, lease: Lease, work: Work, widened: SchemaWidened) -> None:
    """Give undeclared columns wider types for the whole dataset.

    Every chunk of the job is read again with them.
    """
    assert work.plan is not None
    needed = widened.widen
    schema = schema_of(work.plan.schema)
    wider = Schema(
        tuple(
            Field(f.name, parse_type(needed[f.name]), f.declared) if f.name in needed else f
            for f in schema.fields
        )
    )
    if wider == schema:
        raise LeaseLost("The schema is already as wide as that")
    culprits = dict.fromkeys(product(needed, SIMPLE), widened.detail)
    query = bind(JobSpec.model_validate(work.spec), wider, culprits)
    check_width([*(key.type for key in query.keys), *(aggregate.result for aggregate in query.aggregates)])
    await ctx.units.widen(lease, msgspec.structs.replace(work.plan, schema=columns_of(wider)))
