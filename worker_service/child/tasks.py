"""The three tasks of a child: plan a dataset, fold a chunk into states, merge states into rows."""

import os
import resource
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa

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

RESIDENT_BYTES = 1 << 26
"""Of the states that a chunk holds before it writes them out and begins anew.

Bounds a slot's memory, whatever the data.
"""

MERGED_GROUPS = 1 << 21
"""Groups, or values kept of them, that a merge holds before it combines its states so far."""
MAX_PARTIALS = 256

Answer = tuple[Outcome, list[bytes]]
"""How the task ended, and the parts of the body."""

pa.set_cpu_count(1)
pa.set_io_thread_count(1)


def answer(message: bytes, attachment: MemoryFile | None = None) -> tuple[bytes, list[bytes]]:
    """Run the task of a message. The outcome is a message too."""
    outcome, body = run(decode_task(message), attachment)
    return encode(outcome), body


def run(task: AnyTask, attachment: MemoryFile | None = None) -> Answer:
    """Every error becomes an outcome, so that only a crash is silent."""
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

    These are guessed where the task allows it and nothing speaks against it.
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
            planned = _guessed_or_proven(task, spec, files.sources)
    settled = Plan(
        files=found,
        format=planned.format,
        schema=columns_of(planned.schema),
        bytes=size,
        delimiter=planned.source.csv.delimiter if planned.format in {"csv", "tsv"} else None,
        warnings=sorted_warnings((*warnings, *planned.warnings)),
        self_describing=planned.self_describing,
    )
    return PlanResult(settled, tuple(msgspec.Raw(encode(cut)) for cut in _chunks(planned, found))), []


def _guessed_or_proven(
    task: PlanTask, spec: JobSpec, files: list[readers.SourceFile]
) -> readers.PlannedDataset:
    size = task.chunk_bytes or chunk_bytes(sum(file.size for file in files))
    asked, used = (files, spec.source, size, task.max_chunks), uses(spec)
    if not task.prove:
        # an error that follows from a guess counts for nothing
        with suppress(GristmillError, MemoryError, pa.ArrowMemoryError):
            planned = readers.plan(*asked, uses=used, guess=True)
            kernels.check_patterns(bind(spec, planned.schema), text_parser(spec.source))
            return planned
    planned = readers.plan(*asked, uses=used, guess=False)
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


def chunk(task: ChunkTask, _: MemoryFile | None) -> Answer:
    """Fold the extents into partials, which are the body, followed by the bad rows to keep.

    A chunk with a provisional error is read to its end all the same: a value may widen a column. Its rows are
    read, and no more, so no receipt could be made of them.
    """
    spec, schema, query = _bound(bytes(task.spec), task.schema)
    source = with_delimiter(spec.source, task.delimiter)
    open_ = provisional(query, schema, self_describing=task.self_describing)
    fold, bad = kernels.Fold(query, task.no), BadRows(spec.options, tells=bool(open_), places=task.places)
    partials: list[kernels.Partial] = []
    aggregated, picked = 0, PreparedRows(query, spec.source, open_)
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
            for states in _flushed(fold, frames):
                partials += _encoded(states, query, task.partial_bytes)
                aggregated += kernels.rows_in(states)
                del states
        except (GroupLimitExceeded, GroupKeyTooLong, StateTooLarge) as error:
            if not _is_provisional(error, open_):
                raise
            deque(frames, maxlen=0)
            bad.error = bad.error or error.problem()
    rows = RowCounts(
        aggregated=aggregated, filtered=picked.filtered, dropped_null_key=fold.rows_dropped_null_key
    )
    if bad.error is not None:
        partials, rows = [], RowCounts()
    headers = tuple(PartialHeader(p.first_bucket, p.last_bucket, p.groups, len(p.data)) for p in partials)
    pages = bad.pages()
    result = ChunkResult(bad.counts + rows, headers, bad.stats, tuple(map(len, pages)))
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
    bad.begin(extent.rows, readers.lines_before(file, extent, source) if bad.kept else 0)
    batches = readers.batches(file, extent, source, schema, columns, task.batch_bytes)
    return filter(lambda table: table.num_rows, map(bad.take, map(picked.of, batches)))


def _flushed(fold: kernels.Fold, frames: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The states of *frames*: all that *fold* holds, whenever that is more than it may, and at the end."""
    for frame in frames:
        fold.add(frame)
        del frame  # or it would stay in memory while the next one is read
        if fold.groups and (fold.futile or fold.nbytes > RESIDENT_BYTES):
            yield fold.flush()
    yield fold.flush()


def _encoded(states: pa.Table, query: Query, partial_bytes: int) -> Iterator[kernels.Partial]:
    """At most about MAX_PARTIALS of them, so that large states are not cut into crumbs."""
    return kernels.encode(states, query, max(partial_bytes, states.nbytes // MAX_PARTIALS))


def merge(task: MergeTask, attachment: MemoryFile | None) -> Answer:
    """Combine partials of many chunks for one range of buckets. The body is rows for COPY."""
    assert attachment is not None
    spec, _, bound = _bound(bytes(task.spec), task.schema)
    query = _within_slot(bound)
    states, offset = kernels.PendingStates(query, MERGED_GROUPS, 1.5), 0
    for attached in task.partials:
        partial = kernels.decode(attachment.read(offset, attached.size))
        states.add(partial if attached.inside else kernels.in_buckets(partial, query, task.first, task.end))
        offset += attached.size
    combined = states.combined()
    if not query.keys:  # the one group is there even without rows, but in one bucket's range only
        combined = kernels.in_buckets(combined, query, task.first, task.end)
    finalized = kernels.finalize(combined, query, text_parser(spec.source))
    stats = MergeStats(tuple(finalized.widened), finalized.buckets, combined.num_rows)
    binary = None if task.as_csv else kernels.to_copy_binary(finalized)
    body = [kernels.to_copy_csv(finalized)] if binary is None else binary
    rows = kernels.rows_in(combined)
    return MergeResult(finalized.table.num_rows, rows, stats, as_csv=binary is None), body


def _within_slot(query: Query) -> Query:
    """Values that are kept, for `median` say, are held ten times, about, until they are finalized."""
    memory, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if memory == resource.RLIM_INFINITY:
        return query
    return replace(query, max_state_bytes=min(query.max_state_bytes, memory // 32))


TASKS: dict[type, Callable[[Any, MemoryFile | None], Answer]] = {
    PlanTask: plan,
    ChunkTask: chunk,
    MergeTask: merge,
}
