"""The messages between a parent and its child: four kinds of task, and how a task ends.

A message travels as JSON. Values that the service also stores about a job (plans, extents, statistics) have
their types in `shared.core.plan`.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar

import msgspec
from msgspec import Raw, Struct

from shared.core.bad_rows import QuarantineRow
from shared.core.look import Look
from shared.core.plan import (
    ChunkPayload,
    ChunkStats,
    DatasetFile,
    Extent,
    MergeStats,
    Plan,
    PlannedColumn,
)
from shared.core.row_counts import RowCounts
from shared.errors import Problem
from shared.settings import Settings
from shared.storage.sources import Location, own_folders

# --- how a task ends ----------------------------------------------------------------------------------------


class PlannedChunk(Struct, frozen=True):
    """A chunk that a planner has cut; *bytes* are those of its extents."""

    payload: ChunkPayload
    bytes: int


_PLANNED_CHUNK = msgspec.json.Decoder(PlannedChunk)


class PlanResult(Struct, frozen=True, tag="plan"):
    """The plan, and its chunks as JSON texts.

    Objects of 100,000 chunks at once would delay the parent's heartbeat, so `chunks` makes them one by one.
    `look` is there if the task asked for it.
    """

    plan: Plan
    chunk_texts: tuple[Raw, ...]
    look: Look | None = None

    def chunks(self) -> Iterator[PlannedChunk]:
        return map(_PLANNED_CHUNK.decode, self.chunk_texts)


class FoundFiles(Struct, frozen=True, tag="found"):
    files: tuple[DatasetFile, ...]


class PartialHeader(Struct, frozen=True):
    """A partial holds all groups of a chunk's states that are in the hash buckets [first, last].

    *size* is in bytes, and *decoded* about the bytes of its states in memory.
    """

    first_bucket: int
    last_bucket: int
    groups: int
    size: int
    decoded: int


class ChunkResult(Struct, frozen=True, tag="chunk"):
    """The body holds the partials one after the other, then pages of the bad rows to keep, as JSON arrays.

    A group may be in several partials. *pages* are the sizes of the pages, in bytes. *held*: the child keeps
    the states of so many groups for the next chunk, and there are no partials and no pages. None: it keeps
    none.
    """

    rows: RowCounts
    partials: tuple[PartialHeader, ...]
    stats: ChunkStats = ChunkStats()
    pages: tuple[int, ...] = ()
    held: int | None = None


class MergeResult(Struct, frozen=True, tag="merge"):
    """The body holds *rows* result rows for COPY, made of *rows_aggregated* rows of the dataset.

    They are CSV or in COPY's binary format.
    """

    rows: int
    rows_aggregated: int
    stats: MergeStats
    as_csv: bool = True


class Failed(Struct, frozen=True, tag="failed"):
    """An error ended the task. *traceback* is there if it is a bug."""

    problem: Problem
    traceback: str | None = None


class Widened(Struct, frozen=True, tag="widened"):
    """A value does not fit its column: *types* has the type that each such column needs."""

    detail: str
    types: dict[str, str]


Result = PlanResult | FoundFiles | ChunkResult | MergeResult
Outcome = Result | Failed | Widened
R = TypeVar("R", bound=Result)

# --- tasks --------------------------------------------------------------------------------------------------


class Access(Struct, frozen=True):
    """Which files a task may open: none in *own_folders*, which are the service's; *hidden* ones or not.

    The folders are paths as the system has them, which may be no UTF-8. *max_expansion* is the largest ratio
    of the decompressed bytes of a file to its bytes.
    """

    own_folders: tuple[bytes, ...]
    hidden: bool
    max_expansion: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        own = tuple(map(os.fsencode, own_folders(settings)))
        return cls(own, settings.allow_hidden_sources, settings.max_expansion)


class ByteLimit(Struct, frozen=True):
    """The most bytes that a dataset may have, and the name of the setting that says so."""

    bytes: int
    setting: str


class Task(Struct, Generic[R], frozen=True, kw_only=True):
    """*spec* is the job's spec as JSON. A child knows by its bytes that it has bound this spec before."""

    spec: Raw

    @property
    def uris(self) -> list[str]:
        """The files that the task reads, or the patterns that it finds files by."""
        return []


class PlanTask(Task[PlanResult], frozen=True, kw_only=True, tag="plan"):
    """Find the dataset's files, settle its schema, cut its chunks.

    With *prove*, cuts and schema are not guessed. *max_names* bounds the names of files and folders that the
    search may meet. With *look*, the plan takes bounded time, and the answer has the findings of a dry run.
    """

    locations: tuple[Location, ...]
    access: Access
    max_names: int
    max_bytes: ByteLimit
    chunk_bytes: int | None
    max_chunks: int
    prove: bool
    look: bool = False

    @property
    def uris(self) -> list[str]:
        return [location.uri for location in self.locations]


class FindTask(Task[FoundFiles], frozen=True, kw_only=True, tag="find"):
    """Find the dataset's files, as a plan does."""

    locations: tuple[Location, ...]
    access: Access
    max_names: int


class ChunkTask(Task[ChunkResult], frozen=True, kw_only=True, tag="chunk"):
    """Fold the extents of chunk *no* into partials of about *partial_bytes*.

    *delimiter* and *self_describing* are the plan's. *files* has the file of each extent. A batch holds about
    *batch_bytes* of input. With *places*, messages about provisional bad rows have lines, which are counted
    from the beginning of the file.

    *joined*: the states go on from those that the task before has left in the child. *hold*: the child may
    leave them there again. A joined task without extents only asks for the partials.
    """

    no: int
    schema: tuple[PlannedColumn, ...]
    delimiter: str | None
    self_describing: bool = False
    places: bool = True
    files: tuple[DatasetFile, ...]
    extents: tuple[Extent, ...]
    access: Access
    batch_bytes: int
    partial_bytes: int
    joined: bool = False
    hold: bool = False

    @property
    def uris(self) -> list[str]:
        return [file.uri for file in self.files]


class AttachedPartial(Struct, frozen=True):
    """A partial of *size* bytes in a merge's attachment; *inside* if all its buckets belong to the merge."""

    size: int
    inside: bool


class MergeTask(Task[MergeResult], frozen=True, kw_only=True, tag="merge"):
    """Combine the attached partials, in the order given, for the hash buckets [first, end).

    The rows are made *as_csv*, or in the binary format of COPY where that can be.
    """

    schema: tuple[PlannedColumn, ...]
    partials: tuple[AttachedPartial, ...]
    first: int
    end: int
    as_csv: bool = False


AnyTask = PlanTask | FindTask | ChunkTask | MergeTask
encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
decode_task: Callable[[bytes], AnyTask] = msgspec.json.Decoder(AnyTask).decode
decode_bad_rows: Callable[[bytes], list[QuarantineRow]] = msgspec.json.Decoder(list[QuarantineRow]).decode
decode_outcome: Callable[[bytes], Outcome] = msgspec.json.Decoder(Outcome).decode
