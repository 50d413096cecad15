"""The table of formats: how the spec and a file's first bytes name each, and the functions that read it.

A new format is a package beside `csv` and `parquet`, one entry here, and its name in `shared.spec.source`.
`pyproject.toml` says which layer of the readers it is in.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from shared.core.plan import Extent
from shared.errors import NotSupported
from shared.spec.encodings import WIDE
from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from worker_service.readers.batch import Batch
from worker_service.readers.bytes.compressed import Compression, compression_of, first_bytes
from worker_service.readers.bytes.local import SourceFile, pread
from worker_service.readers.bytes.signatures import LOOK, Kind, packed_file, signature_of
from worker_service.readers.csv.plan import plan as plan_csv
from worker_service.readers.csv.plan import sampled_texts as sampled_csv_texts
from worker_service.readers.csv.read import read as read_csv
from worker_service.readers.literals import Column
from worker_service.readers.parquet.file import MAGIC as PARQUET
from worker_service.readers.parquet.plan import plan as plan_parquet
from worker_service.readers.parquet.read import read as read_parquet


class Planner(Protocol):
    """Settles the schema of *files* and cuts them.

    Returns the schema, and every extent with its size in uncompressed bytes, in file order.
    """

    def __call__(
        self, files: list[SourceFile], source: SourceSpec, chunk_bytes: int, /, *, guess: bool
    ) -> tuple[Schema, list[tuple[Extent, int]]]: ...


class Reader(Protocol):
    """Yields the batches of one extent; see `readers.batches`."""

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
    """`magic` are the first bytes of every file, empty where a format has none.

    *self_describing* files declare the types of their columns and how many rows they have. *native*: a crash
    of the child in the format's package is the fault of the file, which native code was decoding.
    `sampled_texts` yields the texts that types were inferred from, by column; None where files declare types.
    """

    name: str
    magic: bytes = b""
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
            plan=plan_parquet,
            read=read_parquet,
            self_describing=True,
            native=True,
        ),
        Format(name="csv", plan=plan_csv, read=read_csv, sampled_texts=sampled_csv_texts),
    )
}
"""By the name in the spec. One format has no magic and comes last: it is the answer if no other is."""


def format_of(file: SourceFile, source: SourceSpec) -> Format:
    """The format that the spec names; for `auto` the one that the first bytes show.

    Raises NotSupported for content of another kind.
    """
    start = pread(file, 0, LOOK)
    shown = next((found for found in FORMATS.values() if found.magic and start.startswith(found.magic)), None)
    if source.format == "auto" and shown and not file.member:
        return shown
    named = FORMATS.get(source.format, FORMATS["csv"])
    if named.magic:
        signature = signature_of(start, {"binary"})
        if signature and named is not shown:
            cure = f'source.format is "{named.name}": set it to "auto", or give such a file'
            raise NotSupported(f"{file.uri} is {signature.name}; {cure}")
        return named
    compression = compression_of(file, source.compression)
    start = start if compression == "none" else first_bytes(file, compression)
    _refuse_foreign(file, start, source, compression)
    return named


def _refuse_foreign(file: SourceFile, start: bytes, source: SourceSpec, compression: Compression) -> None:
    """Raise NotSupported if *start*, the first bytes of the decompressed content, shows another kind."""
    kinds: set[Kind] = {"binary"}
    if source.csv.encoding not in WIDE:
        kinds.add("wide")
    if source.format == "auto":
        kinds.add("text")
    signature = signature_of(start, kinds)
    if signature:
        packed = compression != "none"
        cure = signature.inside if packed and signature.inside else signature.cure
        around = f" in {packed_file(compression)}" if packed else ""
        raise NotSupported(f"{file.uri} is {signature.name}{around}: {cure}")
