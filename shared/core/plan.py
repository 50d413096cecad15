"""The JSON that the service stores about a job: its plan, the payloads of its units, the reports of merges.

Workers of another version may have written the JSON that is read here: fields that came later have defaults.
Extents and guesses are arrays in JSON: a job may have 100,000 of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from shared.core.lifecycle import UnitKind
from shared.errors import Detail, Problem
from shared.spec.source import SourceSpec
from shared.spec.types import Field, Schema, parse_type
from shared.spec.uris import UPLOAD

MIN_CHUNK_BYTES, MAX_CHUNK_BYTES, CHUNKS = 64 << 20, 256 << 20, 16
_SECOND = 10**9


def chunk_bytes(data_bytes: int) -> int:
    """The target size of a chunk where none is set.

    Many chunks keep all slots at work until the end. Few chunks have few states in common, which a merge
    would have to add up again.
    """
    return min(max(data_bytes // CHUNKS, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES)


class Member(msgspec.Struct, frozen=True):
    """A file in a zip file: the *packed* bytes from byte *start* on, packed by a *method* of zip.

    They hold *size* bytes with the CRC-32 *crc*.
    """

    name: str
    start: int
    packed: int
    method: int
    size: int
    crc: int


class DatasetFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the dataset: *below* is its path beneath the allowed folder *root*.

    The rest is its fingerprint: bytes, times of the last changes in ns, inode. A *member* of a zip file has
    the fingerprint of the zip file.
    """

    uri: str
    root: str
    below: str
    size: int
    mtime_ns: int
    ctime_ns: int | None = None
    inode: int | None = None
    member: Member | None = None

    @property
    def identity(self) -> dict[str, int]:
        """The parts of the fingerprint that have to stay the same between plan and read.

        Nothing writes an upload again, but a backup may restore it: `tar` keeps the seconds of mtime only.
        A plan of an older version may lack a part.
        """
        if self.uri.startswith(UPLOAD):
            return {"size": self.size, "mtime_ns": self.mtime_ns // _SECOND * _SECOND}
        parts = {
            "size": self.size,
            "mtime_ns": self.mtime_ns,
            "ctime_ns": self.ctime_ns,
            "inode": self.inode,
        }
        return {name: value for name, value in parts.items() if value is not None}

    @property
    def bytes(self) -> int:
        """Of the file, or of the packed data of the member."""
        return self.member.packed if self.member else self.size


class Guess(msgspec.Struct, frozen=True, array_like=True):
    """Where the planner thinks that the first record at or after byte *target* starts."""

    target: int
    start: int


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """A part of a file that holds whole records.

    CSV: bytes [start, end), header and BOM excluded. A stream: the whole file. Parquet: row groups [start,
    end). `file` is the index into the planned files. `rows` is the exact number of records, or None where
    only reading tells. `guesses` are those for the starts in (start, end]; `start` is a guess too, then. They
    are None where the planner has proven all starts.
    """

    file: int
    start: int
    end: int
    rows: int | None = None
    guesses: tuple[Guess, ...] | None = None


class Warned(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something about the dataset or a column that its owner should know, and that stops nothing."""

    code: str
    detail: str
    column: str | None = None


class PlannedColumn(msgspec.Struct, frozen=True, omit_defaults=True):
    """A `Field` of the dataset's schema."""

    name: str
    type: str
    declared: bool = False
    key: bool = False
    reads: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The values that the plan unit has settled for all chunks of a job.

    `bytes` are those of all files. `delimiter` is that of CSV, None for other formats. *self_describing*
    files declare types, which no value can widen, and how many rows they have.
    """

    files: tuple[DatasetFile, ...]
    format: str = ""
    schema: tuple[PlannedColumn, ...]
    bytes: int
    delimiter: str | None = None
    warnings: tuple[Warned, ...] = ()
    self_describing: bool = False


def with_delimiter(source: SourceSpec, delimiter: str | None) -> SourceSpec:
    """*source* as it was settled when the job was planned; None: by a version that left nothing open."""
    if delimiter is None or source.csv.delimiter == delimiter:
        return source
    csv = source.csv.model_copy(update={"delimiter": delimiter})
    return source.model_copy(update={"csv": csv})


def columns_of(schema: Schema) -> tuple[PlannedColumn, ...]:
    return tuple(PlannedColumn(f.name, str(f.type), f.declared, f.key, f.reads) for f in schema.fields)


def schema_of(columns: Iterable[PlannedColumn]) -> Schema:
    return Schema(tuple(Field(c.name, parse_type(c.type), c.declared, c.key, c.reads) for c in columns))


class PlanPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """*prove*: cuts and schema are not guessed. *look*: for a dry run, which ends with its plan.

    *stored*: the job has the plan of a dry run, and checks that the files are still those of it.
    """

    prove: bool = False
    look: bool = False
    stored: bool = False


class ChunkPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    extents: tuple[Extent, ...]
    guessed: bool = False


class MergePayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """The hash buckets [first, end). *long*: it may take longer than a neighbour should wait."""

    first: int
    end: int
    long: bool = False


class PublishPayload(msgspec.Struct, frozen=True, omit_defaults=True):
    long: bool = False


Payload = PlanPayload | ChunkPayload | MergePayload | PublishPayload
_PAYLOADS: dict[UnitKind, type[Payload]] = {
    UnitKind.PLAN: PlanPayload,
    UnitKind.CHUNK: ChunkPayload,
    UnitKind.MERGE: MergePayload,
    UnitKind.PUBLISH: PublishPayload,
}


def payload_of(kind: UnitKind, stored: Mapping[str, Any]) -> Payload:
    """The payload of a unit of *kind*, from its row."""
    return msgspec.convert(stored, _PAYLOADS[kind])


class ChunkStats(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a chunk that keeps bad rows, `lines` are the line feeds of each extent.

    With those before it, if it is the first of its file. `provisional` counts the bad rows that another
    chunk may yet make good, by a wider type. `told` are the first bad rows of a chunk that only counts them.
    `error` fails the job, unless another chunk widens a column; the chunk has no partials then.
    """

    lines: tuple[int, ...] = ()
    provisional: int = 0
    told: tuple[Detail, ...] = ()
    error: Problem | None = None


class MergeStats(msgspec.Struct, frozen=True):
    """Of a merge unit: integer sums that need decimal(38,0), and the SHA-256 of each bucket that has rows.

    `groups` counts those too that `having` drops.
    """

    widened: tuple[str, ...] = ()
    buckets: dict[int, bytes] = {}
    groups: int = 0
