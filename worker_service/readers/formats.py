"""The table of formats: how the spec and a file's first bytes name each, and the functions that read it.

A new format is a package beside `csv` and `parquet`, one entry here, and its name in `shared.spec.source`.
`pyproject.toml` says which layer of the readers it is in.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from shared.core.plan import Extent
from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from shared.spec.uses import Uses
from worker_service.readers.batch import Batch
from worker_service.readers.bytes.local import SourceFile, pread
from worker_service.readers.csv.plan import names as csv_names
from worker_service.readers.csv.plan import plan as plan_csv
from worker_service.readers.csv.plan import sampled_texts as sampled_csv_texts
from worker_service.readers.csv.read import read as read_csv
from worker_service.readers.literals import Column
from worker_service.readers.parquet.file import MAGIC as PARQUET
from worker_service.readers.parquet.plan import names as parquet_names
from worker_service.readers.parquet.plan import plan as plan_parquet
from worker_service.readers.parquet.read import read as read_parquet
from worker_service.readers.schema import Findings


class Planner(Protocol):
    """Settles the schema of the columns in use of *files*, and cuts these."""

    def __call__(
        self, files: list[SourceFile], source: SourceSpec, uses: Uses, chunk_bytes: int, /, *, guess: bool
    ) -> Findings: ...


class Reader(Protocol):
    """Yields the batches of one extent; see `readers.batches`. The file has all of *columns*."""

    def __call__(
        self,
        file: SourceFile,
        extent: Extent,
        source: SourceSpec,
        schema: Schema,
        columns: list[str],
        batch_bytes: int,
        /,
    ) -> Iterator[Batch]: ...


Samples = Callable[[list[SourceFile], SourceSpec, Collection[str]], Iterator[dict[str, Column]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """`magic` are the first bytes of every file, empty where a format has none. `names` are a file's columns.

    *self_describing* files declare the types of their columns and how many rows they have. *native*: a crash
    of the child in the format's package is the fault of the file, which native code was decoding.
    `sampled_texts` yields the texts that types were inferred from, by column; None where files declare types.
    """

    name: str
    magic: bytes = b""
    names: Callable[[SourceFile, SourceSpec], Collection[str]]
    plan: Planner
    read: Reader
    self_describing: bool = False
    native: bool = False
    sampled_texts: Samples | None = None


FORMATS = {
    found.name: found
    for found in (
        Format(
            name="parquet",
            magic=PARQUET,
            names=parquet_names,
            plan=plan_parquet,
            read=read_parquet,
            self_describing=True,
            native=True,
        ),
        Format(name="csv", names=csv_names, plan=plan_csv, read=read_csv, sampled_texts=sampled_csv_texts),
    )
}
"""By the name in the spec. One format has no magic and comes last: it is the answer if no other is."""


def format_of(file: SourceFile, source: SourceSpec) -> Format:
    """The format that the spec names; for `auto` the one that the first bytes show."""
    if source.format != "auto":
        return FORMATS[source.format]
    start = pread(file, 0, max(len(found.magic) for found in FORMATS.values()))
    return next(found for found in FORMATS.values() if start.startswith(found.magic))
