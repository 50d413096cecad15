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
from shared.spec.uses import Uses
from worker_service.readers.arrow_ipc.file import begins_arrow
from worker_service.readers.arrow_ipc.plan import names as arrow_names
from worker_service.readers.arrow_ipc.plan import plan as plan_arrow
from worker_service.readers.arrow_ipc.read import read as read_arrow
from worker_service.readers.batch import Batch
from worker_service.readers.bytes.compressed import Compression, compression_of, first_bytes
from worker_service.readers.bytes.local import SourceFile, pread
from worker_service.readers.bytes.signatures import LOOK, Kind, packed_file, signature_of
from worker_service.readers.csv.misplaced import settled_source as settled_csv
from worker_service.readers.csv.plan import names as csv_names
from worker_service.readers.csv.plan import plan as plan_csv
from worker_service.readers.csv.plan import sampled_texts as sampled_csv_texts
from worker_service.readers.csv.read import read as read_csv
from worker_service.readers.literals import Column
from worker_service.readers.ndjson.content import begins_ndjson
from worker_service.readers.ndjson.plan import names as ndjson_names
from worker_service.readers.ndjson.plan import plan as plan_ndjson
from worker_service.readers.ndjson.plan import sampled_texts as sampled_ndjson_texts
from worker_service.readers.ndjson.read import read as read_ndjson
from worker_service.readers.parquet.file import begins_parquet
from worker_service.readers.parquet.plan import names as parquet_names
from worker_service.readers.parquet.plan import plan as plan_parquet
from worker_service.readers.parquet.read import read as read_parquet
from worker_service.readers.schema import Findings
from worker_service.readers.xlsx.plan import names as xlsx_names
from worker_service.readers.xlsx.plan import plan as plan_xlsx
from worker_service.readers.xlsx.plan import sampled_texts as sampled_xlsx_texts
from worker_service.readers.xlsx.read import read as read_xlsx
from worker_service.readers.xlsx.workbook import shows_workbook


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
    """How a format is known, planned and read.

    `shows` tells from the first bytes of the content whether a file has the format; `csv` takes all.
    `settled` fills in the options that the spec leaves to the dataset's first file. `names` are its columns.
    *whole* files are never read through a decompressor. In *sparse* ones a column may be missing anywhere:
    `names` are those that some records have. *self_describing* files declare the types of their columns.
    With *typed_values* text is no number, whatever it reads as.
    *native*: a crash of the child in the format's package is the fault of the file, which native code was
    decoding. `sampled_texts` yields the texts that types were inferred from, by column; None where files
    declare types.
    """

    name: str
    shows: Callable[[SourceFile, bytes], bool] = lambda _, __: True
    settled: Callable[[list[SourceFile], SourceSpec], SourceSpec] = lambda _, source: source
    names: Callable[[SourceFile, SourceSpec], Collection[str]]
    plan: Planner
    read: Reader
    whole: bool = False
    sparse: bool = False
    self_describing: bool = False
    typed_values: bool = False
    native: bool = False
    sampled_texts: Samples | None = None


FORMATS = {
    found.name: found
    for found in (
        Format(
            name="parquet",
            shows=lambda _, start: begins_parquet(start),
            names=parquet_names,
            plan=plan_parquet,
            read=read_parquet,
            whole=True,
            self_describing=True,
            native=True,
        ),
        Format(
            name="arrow",
            shows=lambda _, start: begins_arrow(start),
            names=arrow_names,
            plan=plan_arrow,
            read=read_arrow,
            whole=True,
            self_describing=True,
            native=True,
        ),
        Format(
            name="xlsx",
            shows=shows_workbook,
            names=xlsx_names,
            plan=plan_xlsx,
            read=read_xlsx,
            whole=True,
            self_describing=True,
            native=True,
            typed_values=True,
            sampled_texts=sampled_xlsx_texts,
        ),
        Format(
            name="ndjson",
            shows=lambda _, start: begins_ndjson(start),
            names=ndjson_names,
            plan=plan_ndjson,
            read=read_ndjson,
            sparse=True,
            typed_values=True,
            sampled_texts=sampled_ndjson_texts,
        ),
        Format(
            name="csv",
            settled=settled_csv,
            names=csv_names,
            plan=plan_csv,
            read=read_csv,
            sampled_texts=sampled_csv_texts,
        ),
        Format(
            name="tsv",
            settled=settled_csv,
            names=csv_names,
            plan=plan_csv,
            read=read_csv,
            sampled_texts=sampled_csv_texts,
        ),
    )
}
"""By the name in the spec, in the order in which `auto` asks them."""


def format_of(file: SourceFile, source: SourceSpec) -> Format:
    """The format that the spec names; for `auto` the one that the first bytes show.

    Raises NotSupported for content of another kind, and CorruptFile for another compression than the spec's.
    """
    start = pread(file, 0, LOOK)
    named = FORMATS.get(source.format)
    shown = next((found for found in FORMATS.values() if found.whole and found.shows(file, start)), None)
    if shown and not file.member and named in {None, shown}:
        compression_of(file, source.compression)
        return shown
    if named and named.whole:
        signature = signature_of(start, {"binary", "wide", "text"})
        if signature:
            cure = f'source.format is "{named.name}": set it to "auto", or give such a file'
            raise NotSupported(f"{file.uri} is {signature.name}; {cure}")
        return named
    compression = compression_of(file, source.compression)
    start = start if compression == "none" else first_bytes(file, compression)
    found = named or next(found for found in FORMATS.values() if not found.whole and found.shows(file, start))
    _refuse_foreign(file, start, source, compression, text=found.name == "csv" and source.format == "auto")
    return found


def _refuse_foreign(
    file: SourceFile, start: bytes, source: SourceSpec, compression: Compression, *, text: bool
) -> None:
    """Raise NotSupported if *start*, the first bytes of the decompressed content, shows another kind."""
    kinds: set[Kind] = {"binary"}
    if source.csv.encoding not in WIDE:
        kinds.add("wide")
    if text:
        kinds.add("text")
    signature = signature_of(start, kinds)
    if signature:
        packed = compression != "none"
        cure = signature.inside if packed and signature.inside else signature.cure
        around = f" in {packed_file(compression)}" if packed else ""
        raise NotSupported(f"{file.uri} is {signature.name}{around}: {cure}")
