"""The three things a child process does: find and plan a dataset, fold a chunk into states, merge states into rows."""

import base64
import resource
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import Any

import pyarrow as pa

from shared.errors import (
    GristmillError,
    InternalError,
    LimitExceeded,
    OutOfMemory,
    SchemaWidened,
    TypeMismatch,
)
from shared.spec.bind import bind, needed_kinds
from shared.spec.models import JobSpec
from shared.spec.query import Query
from shared.spec.types import Schema
from shared.storage.sources import Location
from worker_service import kernels, readers
from worker_service.child import wire
from worker_service.child.beneath import Beneath
from worker_service.child.files import Files
from worker_service.child.find import find

RESIDENT_GROUPS = 1 << 18
"""Groups that a chunk holds before it writes them out and begins anew.

Bounds a slot's memory, whatever the data.
"""

MERGED_GROUPS = 1 << 21
"""Groups, or values kept of them, that a merge holds before it combines what it has so far."""
MAX_PIECES = 256

Answer = tuple[dict[str, Any], list[bytes]]

pa.set_cpu_count(1)
pa.set_io_thread_count(1)


def answer(request: dict[str, Any], files: list[int]) -> Answer:
    """Run one request; every error becomes an answer too, so that only a crash is silent."""
    try:
        return TASKS[request["task"]](request, files)
    except SchemaWidened as widened:
        return {"widen": widened.widen, "detail": widened.detail}, []
    except GristmillError as error:
        return {"problem": error.problem()}, []
    except (MemoryError, pa.ArrowMemoryError):
        return {
            "problem": OutOfMemory(
                "The unit needs more memory than GRISTMILL_SLOT_MEMORY_BYTES allows"
            ).problem()
        }, []
    except Exception:  # noqa: BLE001  # the edge of the child: a bug must reach the job's error, not kill the slot
        text = traceback.format_exc()
        return {
            "problem": InternalError("A bug in Gristmill; the worker's log has the stack trace").problem(),
            "traceback": text,
        }, []


def _beneath(request: dict[str, Any]) -> Beneath:
    return Beneath(request["own_folders"], hidden=request["hidden"])


def plan(request: dict[str, Any], _: list[int]) -> Answer:
    """The files, the schema, and the extents of every chunk.

    These are guessed where the request allows it and nothing speaks against it.
    """
    spec = JobSpec.model_validate(request["spec"])
    with _beneath(request) as beneath:
        found, warnings = find(
            beneath, [Location(*parts) for parts in request["locations"]], request["max_names"]
        )
        size, (most, whose) = sum(file["size"] for file in found), request["max_bytes"]
        if size > most:
            raise LimitExceeded(f"The source has {size:,} bytes; {whose} is {most:,}")
        with Files(beneath, found) as files:
            header = _guessed_or_proven(request, spec, files.sources)
    return {"files": found, "bytes": size, "warnings": warnings, **header}, []


def _guessed_or_proven(
    request: dict[str, Any], spec: JobSpec, files: list[readers.SourceFile]
) -> dict[str, Any]:
    if not request["prove"]:
        with suppress(
            GristmillError, MemoryError, pa.ArrowMemoryError
        ):  # what a guess leads to counts for nothing
            return _planned(request, spec, files, guess=True)
    return _planned(request, spec, files, guess=False)


def _planned(
    request: dict[str, Any], spec: JobSpec, files: list[readers.SourceFile], *, guess: bool
) -> dict[str, Any]:
    planned = readers.plan(files, spec.source, request["chunk_bytes"], request["max_chunks"], guess=guess)
    if guess:
        bind(spec, planned.schema)
    else:
        _bound(spec, planned.schema, files)
    ends = {e.file: e.end for extents in planned.extents for e in extents}

    def size(e: readers.Extent) -> int:
        """Bytes of input; a Parquet extent counts row groups, so it gets its share of the file."""
        whole, end = files[e.file].size, ends[e.file]
        return (
            whole * e.end // end - whole * e.start // end if planned.format == "parquet" else e.end - e.start
        )

    chunks = [
        {
            "extents": [[e.file, e.start, e.end, e.rows, e.guesses] for e in extents],
            "bytes": sum(map(size, extents)),
        }
        for extents in planned.extents
    ]
    guessed = any(e.guesses is not None for extents in planned.extents for e in extents)
    return {
        "schema": planned.schema.to_json(),
        "format": planned.format,
        "chunks": chunks,
        "guessed": guessed,
    }


def _bound(spec: JobSpec, schema: Schema, files: list[readers.SourceFile]) -> None:
    """Raises what `bind` raises.

    Names the few values that keep a column from what is wanted, which takes another look.
    """
    try:
        bind(spec, schema)
    except TypeMismatch:
        bind(spec, schema, readers.culprits(files, spec.source, needed_kinds(spec, schema)))
        raise


def chunk(request: dict[str, Any], _: list[int]) -> Answer:
    """Fold the extents into one partial; the body is its pieces, one after the other.

    A group may be in several of them.
    """
    spec, schema = JobSpec.model_validate(request["spec"]), Schema.from_json(request["schema"])
    query = bind(spec, schema)
    fold, tally = kernels.Fold(query, request["no"]), readers.Tally()
    pieces: list[kernels.Partial] = []
    aggregated = 0
    with _beneath(request) as beneath, Files(beneath, request["files"]) as files:
        extents = zip(files.sources, (readers.Extent(*extent) for extent in request["extents"]), strict=True)
        frames = chain.from_iterable(
            readers.read(file, extent, spec.source, schema, query.columns, request["batch_bytes"], tally)
            for file, extent in extents
        )
        for states in _flushed(fold, frames):
            pieces += _pieces(states, query, request["piece_bytes"])
            aggregated += kernels.rows_in(states)
            del states
    header = {
        "rows_read": tally.records,
        "rows_aggregated": aggregated,
        "rows_dropped": fold.rows_dropped_null_key,
        "pieces": [[p.first_bucket, p.last_bucket, p.groups, len(p.data)] for p in pieces],
    }
    return header, [p.data for p in pieces]


def _flushed(fold: kernels.Fold, frames: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The states of *frames*: all that *fold* holds, whenever that is more than it may, and at the end."""
    for frame in frames:
        fold.add(frame)
        del frame  # or it would stay in memory while the next one is read
        if fold.groups > (0 if fold.futile else RESIDENT_GROUPS):
            yield fold.flush()
    yield fold.flush()


def _pieces(states: pa.Table, query: Query, piece_bytes: int) -> Iterator[kernels.Partial]:
    """At most about MAX_PIECES of them, so that large states are not cut into crumbs."""
    return kernels.encode(states, query, max(piece_bytes, states.nbytes // MAX_PIECES))


def merge(request: dict[str, Any], descriptors: list[int]) -> Answer:
    """Combine pieces of many chunks, in the order given, for one range of buckets; the body is rows for COPY."""
    query = _within_slot(bind(JobSpec.model_validate(request["spec"]), Schema.from_json(request["schema"])))
    (pieces,) = descriptors
    states, offset = kernels.PendingStates(query, MERGED_GROUPS, 1.5), 0
    for size, inside in request["pieces"]:
        piece = kernels.decode(wire.read_exactly(pieces, size, offset))
        states.add(piece if inside else kernels.in_buckets(piece, query, request["first"], request["end"]))
        offset += size
    combined = states.combined()
    if not query.keys:  # the one group is there even without rows, but in one bucket's range only
        combined = kernels.in_buckets(combined, query, request["first"], request["end"])
    finalized = kernels.finalize(combined, query)
    header = {
        "rows": finalized.table.num_rows,
        "rows_aggregated": kernels.rows_in(combined),
        "widened": finalized.widened,
        "buckets": {
            str(bucket): base64.b64encode(digest).decode() for bucket, digest in finalized.buckets.items()
        },
    }
    return header, [kernels.to_copy_csv(finalized)]


def _within_slot(query: Query) -> Query:
    """Values that are kept, the ones that median needs say, are held about four times while they are merged."""
    memory, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return (
        query
        if memory == resource.RLIM_INFINITY
        else replace(query, max_state_bytes=min(query.max_state_bytes, memory // 16))
    )


TASKS: dict[str, Callable[[dict[str, Any], list[int]], Answer]] = {
    "plan": plan,
    "chunk": chunk,
    "merge": merge,
}
