"""The plan unit: from URIs to files, one schema, type-checked aggregates and chunk boundaries, which are proven if its payload says so."""

from dataclasses import astuple, replace

import msgspec

from shared.core.plan import ChunkPayload, Extent, Guess, Plan, PlanPayload
from shared.db.units import Lease, NewUnit
from shared.fault_points import reached
from shared.settings import Settings
from shared.spec.bind import bind
from shared.spec.models import JobSpec
from shared.spec.query import Query
from shared.spec.types import Schema, parse_result_type, widenings
from shared.spec.width import check_width
from shared.storage.sources import locate, own_folders, source_rules
from worker_service.context import Context, Work
from worker_service.executor import Child
from worker_service.units import publish
from worker_service.units.reading import reading


class _Positional(msgspec.Struct, array_like=True):
    """An extent of the child's answer."""

    file: int
    start: int
    end: int
    rows: int | None = None
    guesses: list[tuple[int, int]] | None = None


class _Chunk(msgspec.Struct):
    """Of the child's answer."""

    extents: list[_Positional]
    bytes: int


_CHUNK = msgspec.json.Decoder(_Chunk)


async def run(ctx: Context, lease: Lease, work: Work, child: Child) -> None:
    assert isinstance(lease.payload, PlanPayload)
    spec = JobSpec.model_validate(work.spec)
    rules = source_rules(ctx.settings)
    locations = [
        locate(uri, f"#/source/uris/{no}", rules, work.tenant) for no, uri in enumerate(spec.source.uris)
    ]
    request = {
        "task": "plan",
        "spec": work.spec,
        "locations": [astuple(location) for location in locations],
        "own_folders": own_folders(ctx.settings),
        "hidden": rules.hidden,
        "max_names": ctx.settings.max_listed_names,
        "max_bytes": _max_bytes(spec, ctx.settings),
        "chunk_bytes": spec.options.chunk_bytes or ctx.settings.chunk_bytes,
        "max_chunks": spec.limits.max_chunks,
        "prove": lease.payload.prove,
    }
    async with reading(child, request, list(spec.source.uris), lease.allowed) as answer:
        header = answer.header
    await _check_result(
        ctx, work, Schema.from_json(header["schema"]), spec, settled=header["format"] == "parquet"
    )
    chunks = (
        NewUnit(
            no=no,
            payload=ChunkPayload(extents=tuple(map(_extent, chunk.extents)), guessed=header["guessed"]),
            bytes=chunk.bytes,
        )
        for no, chunk in enumerate(map(_CHUNK.decode, header["chunks"]))
    )
    reached("plan.before_insert")
    settled = {name: header[name] for name in ("files", "format", "schema", "bytes", "warnings")}
    await ctx.units.complete_plan(lease, msgspec.convert(settled, Plan), chunks)
    reached("plan.after_commit")


def _extent(each: _Positional) -> Extent:
    guesses = None if each.guesses is None else tuple(Guess(*guess) for guess in each.guesses)
    return Extent(each.file, each.start, each.end, each.rows, guesses)


async def _check_result(ctx: Context, work: Work, schema: Schema, spec: JobSpec, *, settled: bool) -> None:
    """What would keep the result from being stored or published is found before the scan.

    *settled*: no value can widen a column.
    """
    query = bind(spec, schema)
    columns = publish.result_columns(query)
    check_width([parse_result_type(column["type"]) for column in columns])
    if work.result_name is not None:
        assert work.version is not None
        open_fields = set() if settled else {field.name for field in schema.fields if not field.declared}
        undecided = _undecided(query, open_fields)
        await ctx.publishing.check_columns(work.tenant, work.result_name, work.version, columns, undecided)


def _undecided(query: Query, open_fields: set[str]) -> dict[str, set[str]]:
    """Result column -> the types that it gets if a value widens one of *open_fields*, or if an integer sum is large."""
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


def _max_bytes(spec: JobSpec, settings: Settings) -> tuple[int, str]:
    """The most bytes of the source, and the name of what says so."""
    chosen = spec.limits.max_bytes
    return (settings.max_bytes, "GRISTMILL_MAX_BYTES") if chosen is None else (chosen, "limits.max_bytes")
