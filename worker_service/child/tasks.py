"""The tasks of a child: find files, plan a dataset, fold a chunk into states, merge states into rows."""

import os
import resource
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from shared.core.fan_in import SLOT_BYTES, in_slot
from shared.core.plan import (
    ChunkPayload,
    DatasetFile,
    Extent,
    MergeStats,
    Plan,
    PlannedColumn,
    chunk_bytes,
    columns_of,
    schema_of,
    with_delimiter,
)
from shared.core.row_counts import RowCounts
from shared.core.warnings import sorted_warnings
from shared.errors import (
    GristmillError,
    GroupKeyTooLong,
    GroupLimitExceeded,
    InternalError,
    LimitExceeded,
    OutOfMemory,
    SchemaWidened,
    StateTooLarge,
    TypeMismatch,
)
from shared.spec.bind import bind, needed_kinds
from shared.spec.models import JobSpec
from shared.spec.provisional import Provisional, provisional
from shared.spec.query import Query
from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from shared.spec.uses import uses
from worker_service import kernels, readers
from worker_service.child.bad_rows import BadRows
from worker_service.child.look import look
from worker_service.child.rows import PreparedRows
from worker_service.child.texts import text_parser
from worker_service.executors.processes.channel import MemoryFile
from worker_service.inputs.files import PlannedFiles
from worker_service.inputs.local import LocalFiles
from worker_service.inputs.members import find_files
from worker_service.messages import (
    Access,
    AnyTask,
    ChunkResult,
    ChunkTask,
    Failed,
    FindTask,
    FoundFiles,
    MergeResult,
    MergeTask,
    Outcome,
    PartialHeader,
    PlannedChunk,
    PlanResult,
    PlanTask,
    Widened,
    decode_task,
    encode,
)

RESIDENT_BYTES = 1 << 28
"""Of the states that a chunk holds before it writes them out and begins anew.

Bounds a slot's memory, whatever the data. This bound and those below are for SLOT_BYTES; a smaller slot holds
less, in proportion.
"""
TABLE_BYTES = 1 << 26
"""The same where some states are held as tables, which take more room while they are combined."""

PASS_BYTES = 256 << 20
"""A dry run reads all of a dataset of so many bytes if it needs to; of a larger one it reads samples only."""

HELD_BYTES = RESIDENT_BYTES // 2
"""Of states that stay for the next chunk of a fold, which needs room of its own."""

MERGED_GROUPS = 1 << 21
"""Groups, or values kept of them, that a merge holds before it combines its states so far."""
MERGED_BYTES = 1 << 27
"""Of these states."""
MAX_PARTIALS = 256

Answer = tuple[Outcome, list[bytes]]
"""How the task ended, and the parts of the body."""

_held: list["_Held"] = []
"""The states that the last task has left for the next one; one at most."""

pa.set_cpu_count(1)
pa.set_io_thread_count(1)


def answer(message: bytes, attachment: MemoryFile | None = None) -> tuple[bytes, list[bytes]]:
    """Run the task of a message. The outcome is a message too."""
    outcome, body = run(decode_task(message), attachment)
    return encode(outcome), body


def run(task: AnyTask, attachment: MemoryFile | None = None) -> Answer:
    """Every error becomes an outcome, so that only a crash is silent."""
    if not (isinstance(task, ChunkTask) and task.joined):
        _held.clear()
    try:
        return TASKS[type(task)](task, attachment)
    except SchemaWidened as widened:
        return Widened(widened.detail, widened.widen), []
    except GristmillError as error:
        return Failed(error.problem()), []
    except (MemoryError, pa.ArrowMemoryError):
        full = OutOfMemory("The unit needs more memory than GRISTMILL_SLOT_MEMORY_BYTES allows")
        return Failed(full.problem()), []
    except Exception:  # noqa: BLE001  # a bug must reach the job's error, and not end the child
        bug = InternalError("A bug in Gristmill; the worker's log has the stack trace")
        return Failed(bug.problem(), traceback.format_exc()), []


def _spec(text: msgspec.Raw | bytes) -> JobSpec:
    return JobSpec.model_validate(msgspec.json.decode(text))


@lru_cache(maxsize=1)
def _bound(text: bytes, columns: tuple[PlannedColumn, ...]) -> tuple[JobSpec, Schema, Query]:
    """Kept, because tasks of one job follow each other."""
    spec, schema = _spec(text), schema_of(columns)
    return spec, schema, bind(spec, schema)


def _local_files(access: Access) -> LocalFiles:
    return LocalFiles([os.fsdecode(path) for path in access.own_folders], hidden=access.hidden)


def plan(task: PlanTask, _: MemoryFile | None) -> Answer:
    """The files, the schema, and the extents of every chunk.

    These are guessed where the task allows it and nothing speaks against it. A dry run looks at the data.
    """
    spec = _spec(task.spec)
    with _local_files(task.access) as local:
        found, warnings = find_files(
            local, task.locations, spec.source, task.max_names, task.access.max_expansion
        )
        size, most = sum(file.bytes for file in found), task.max_bytes
        if size > most.bytes:
            raise LimitExceeded(f"The source has {size:,} bytes; {most.setting} is {most.bytes:,}")
        with (
            PlannedFiles(local, found, task.access.max_expansion) as files,
            readers.damage_first(files.sources, spec.source),
        ):
            sources = files.sources
            if task.look and size > PASS_BYTES:
                sources = [replace(file, passes=False) for file in sources]
            planned = _guessed_or_proven(task, spec, sources)
            warned = sorted_warnings((*warnings, *planned.warnings))
            target = task.chunk_bytes or chunk_bytes(size)
            looked = look(spec, planned, found, sources, warned, target) if task.look else None
    settled = Plan(
        files=found,
        format=planned.format,
        schema=columns_of(planned.schema),
        bytes=size,
        delimiter=planned.source.csv.delimiter if planned.format in {"csv", "tsv"} else None,
        warnings=warned,
        self_describing=planned.self_describing,
    )
    cuts = tuple(msgspec.Raw(encode(cut)) for cut in _chunks(planned, found))
    return PlanResult(settled, cuts, looked), []


def find(task: FindTask, _: MemoryFile | None) -> Answer:
    """The files that a plan would have."""
    with _local_files(task.access) as local:
        expansion = task.access.max_expansion
        found, _warnings = find_files(
            local, task.locations, _spec(task.spec).source, task.max_names, expansion
        )
    return FoundFiles(found), []


def _guessed_or_proven(
    task: PlanTask, spec: JobSpec, files: list[readers.SourceFile]
) -> readers.PlannedDataset:
    size = task.chunk_bytes or chunk_bytes(sum(file.size for file in files))
    asked, used = (files, spec.source, size, task.max_chunks), uses(spec)
    tapered = task.chunk_bytes is None
    if not all(file.passes for file in files):
        planned = readers.plan(*asked, uses=used, guess=True, tapered=tapered)
        kernels.check_patterns(bind(spec, planned.schema, planned.culprits), text_parser(spec.source))
        return planned
    if not task.prove:
        # an error that follows from a guess counts for nothing
        with suppress(GristmillError, MemoryError, pa.ArrowMemoryError):
            planned = readers.plan(*asked, uses=used, guess=True, tapered=tapered)
            _, _, query = _bound(bytes(task.spec), columns_of(planned.schema))
            kernels.check_patterns(query, text_parser(spec.source))
            return planned
    planned = readers.plan(*asked, uses=used, guess=False, tapered=tapered)
    _check_types(spec, planned, files)
    return planned


def _chunks(planned: readers.PlannedDataset, files: tuple[DatasetFile, ...]) -> Iterator[PlannedChunk]:
    ends = {extent.file: extent.end for extents in planned.extents for extent in extents}
    guessed = any(extent.guesses is not None for extents in planned.extents for extent in extents)

    def size(extent: Extent) -> int:
        """Bytes of input: the extent's share of its file, whatever the format counts extents in."""
        whole, end = files[extent.file].bytes, ends[extent.file]
        return whole * extent.end // end - whole * extent.start // end

    for extents in planned.extents:
        payload = ChunkPayload(tuple(extents), guessed)
        yield PlannedChunk(payload, sum(map(size, extents)))


def _check_types(spec: JobSpec, planned: readers.PlannedDataset, files: list[readers.SourceFile]) -> None:
    """Raises the errors of `bind`.

    Names the few values that keep a column from the type it needs, which takes another look at the files.
    """
    schema = planned.schema
    try:
        kernels.check_patterns(bind(spec, schema), text_parser(spec.source))
    except TypeMismatch:
        needed = readers.misfits(files, planned.source, needed_kinds(spec, schema))
        bind(spec, schema, planned.culprits | needed)
        raise


class _Held(NamedTuple):
    """The states of chunks that were read, and how many *rows* of them were reported as aggregated."""

    fold: kernels.Fold
    rows: int


def _begun(task: ChunkTask, query: Query) -> _Held:
    """The states to go on with."""
    if not task.joined:
        return _Held(kernels.Fold(query, task.no), 0)
    held = _held.pop()
    held.fold.begin(task.no)
    return held


def chunk(task: ChunkTask, _: MemoryFile | None) -> Answer:
    """Fold the extents into partials, which are the body, followed by the bad rows to keep.

    Or leave the states for the next chunk. The task must allow it, the states leave room, and no row be bad.

    A chunk with a provisional error is read to its end all the same: a value may widen a column. Its rows are
    read, and no more, so no receipt could be made of them.
    """
    spec, schema, query = _bound(bytes(task.spec), task.schema)
    source = with_delimiter(spec.source, task.delimiter)
    open_ = provisional(query, schema, self_describing=task.self_describing)
    (fold, reported), bad = _begun(task, query), BadRows(spec.options, tells=bool(open_), places=task.places)
    dropped, before = fold.rows_dropped_null_key, fold.rows
    partials: list[kernels.Partial] = []
    aggregated, picked, held = -reported, PreparedRows(query, spec.source, open_), False

    def write(states: pa.Table) -> None:
        nonlocal aggregated
        partials.extend(_encoded(states, _within_slot(query), task.partial_bytes))
        aggregated += kernels.rows_in(states)

    with (
        _local_files(task.access) as local,
        PlannedFiles(local, task.files, task.access.max_expansion) as files,
        readers.damage_first(files.sources, source),
    ):
        frames = chain.from_iterable(
            _tables(task, file, extent, source, schema, query.columns, picked, bad)
            for file, extent in zip(files.sources, task.extents, strict=True)
        )
        try:
            for states in _overflows(fold, frames):
                write(states)
                del states
            held = task.hold and not partials and bad.none and _may_stay(fold)
            if not held:
                write(fold.flush())
        except (GroupLimitExceeded, GroupKeyTooLong, StateTooLarge) as error:
            if not _is_provisional(error, open_):
                raise
            deque(frames, maxlen=0)
            bad.error = bad.error or error.problem()
    if held:
        aggregated = fold.rows - before
        _held.append(_Held(fold, reported + aggregated))
    rows = RowCounts(
        aggregated=aggregated,
        filtered=picked.filtered,
        dropped_null_key=fold.rows_dropped_null_key - dropped,
    )
    if bad.error is not None:
        partials, rows = [], RowCounts()
    headers = tuple(
        PartialHeader(p.first_bucket, p.last_bucket, p.groups, len(p.data), p.decoded) for p in partials
    )
    pages = bad.pages()
    kept = fold.groups if held else None
    result = ChunkResult(bad.counts + rows, headers, bad.stats, tuple(map(len, pages)), kept)
    return result, [*(partial.data for partial in partials), *pages]


def _is_provisional(error: GristmillError, open_: Provisional) -> bool:
    """Whether there may be no such error once the columns of *open_* have other types."""
    return open_.groups if not isinstance(error, StateTooLarge) else bool(open_)


def _tables(
    task: ChunkTask,
    file: readers.SourceFile,
    extent: Extent,
    source: SourceSpec,
    schema: Schema,
    columns: list[str],
    picked: PreparedRows,
    bad: BadRows,
) -> Iterator[pa.Table]:
    """The rows of an extent to fold, as tables that have some.

    No frame holds one while it is folded or while the next one is read, as that of a generator would.
    """
    bad.begin(extent.rows)
    batches = readers.batches(file, extent, source, schema, columns, task.batch_bytes)
    return filter(lambda table: table.num_rows, map(bad.take, map(picked.of, batches)))


def _may_stay(fold: kernels.Fold) -> bool:
    return fold.resumable and fold.nbytes <= _in_slot(HELD_BYTES)


def _overflows(fold: kernels.Fold, frames: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Fold the *frames*. Yields all states that *fold* holds whenever they are more than it may hold."""
    most = _in_slot(RESIDENT_BYTES if fold.resumable else TABLE_BYTES)
    for piece in chain.from_iterable(map(fold.pieces, frames)):
        fold.add(piece)
        del piece  # or it would stay in memory while the next one is read
        if fold.groups and (fold.futile or fold.nbytes > most):
            yield fold.flush()


def _encoded(states: pa.Table, query: Query, partial_bytes: int) -> Iterator[kernels.Partial]:
    """At most about MAX_PARTIALS of them, so that large states are not cut into crumbs."""
    return kernels.encode(states, query, max(partial_bytes, states.nbytes // MAX_PARTIALS))


def merge(task: MergeTask, attachment: MemoryFile | None) -> Answer:
    """Combine partials of many chunks for one range of buckets. The body is rows for COPY."""
    assert attachment is not None
    spec, _, bound = _bound(bytes(task.spec), task.schema)
    query = _within_slot(bound)
    combined = _combined(task, attachment, query)
    finalized = kernels.finalize(combined, query, text_parser(spec.source))
    stats = MergeStats(tuple(finalized.widened), finalized.buckets, combined.num_rows)
    rows = kernels.rows_in(combined)
    del combined  # or it would stay in memory beside the rows and the body
    binary = None if task.as_csv else kernels.to_copy_binary(finalized)
    body = [kernels.to_copy_csv(finalized)] if binary is None else binary
    return MergeResult(finalized.table.num_rows, rows, stats, as_csv=binary is None), body


def _combined(task: MergeTask, attachment: MemoryFile, query: Query) -> pa.Table:
    """The states of the partials, each group once."""
    states, offset = kernels.PendingStates(query, MERGED_GROUPS, 1.5, _in_slot(MERGED_BYTES)), 0
    for attached in task.partials:
        partial = kernels.decode(attachment.read(offset, attached.size))
        states.add(partial if attached.inside else kernels.in_buckets(partial, query, task.first, task.end))
        offset += attached.size
    combined = states.combined()
    # the one group of a query without keys is there even without rows, but in one bucket's range only
    return combined if query.keys else kernels.in_buckets(combined, query, task.first, task.end)


def _within_slot(query: Query) -> Query:
    """Values that are kept, for `median` say, are held ten times, about, until they are finalized."""
    if (memory := _slot_memory()) is None:
        return query
    return replace(query, max_state_bytes=min(query.max_state_bytes, memory // 32))


def _slot_memory() -> int | None:
    memory, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return None if memory == resource.RLIM_INFINITY else memory


def _in_slot(most: int) -> int:
    return in_slot(most, _slot_memory() or SLOT_BYTES)


TASKS: dict[type, Callable[[Any, MemoryFile | None], Answer]] = {
    PlanTask: plan,
    FindTask: find,
    ChunkTask: chunk,
    MergeTask: merge,
}
