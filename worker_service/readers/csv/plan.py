"""Plans CSV files: one schema from samples of them, and the extents of each.

A column's kind is the narrowest that holds every value of every sample, by the grammar in `literals`;
decimals are never inferred. The samples depend on the files' bytes and on nothing else. A value that they
miss widens its column later, when it is read.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

import pyarrow as pa

from shared.core.plan import Extent
from shared.errors import SchemaConflict
from shared.spec.names import listed
from shared.spec.source import SourceSpec
from shared.spec.types import DataType, Kind, Schema, join
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.cuts import cut
from worker_service.readers.csv.faults import BadRecord, tokenized
from worker_service.readers.csv.file import CsvFile, csv_file
from worker_service.readers.csv.head import head
from worker_service.readers.csv.tokenizer import BINARY, column, nulled
from worker_service.readers.literals import Column, narrowest
from worker_service.readers.schema import check_declared, settled

_SAMPLES = 16
"""Samples of one file; of many files together as many, but one of each at least."""
_SAMPLED_COLUMNS = 100_000
"""Columns to sample in all files together. Of many wide files some are sampled, spread over the dataset."""
_KINDS: list[Kind] = ["bool", "int64", "float64", "date", "timestamp", "timestamptz", "string"]
"""Each before those that hold its values."""


def plan(
    source_files: list[SourceFile], source: SourceSpec, chunk_bytes: int, *, guess: bool
) -> tuple[Schema, list[tuple[Extent, int]]]:
    """The schema, and every extent with its size in bytes, in file order.

    A file without records has no extent.
    """
    files = _with_heads(source_files, source)
    names = files[0][0].names
    check_declared(names, source.types)
    kinds: dict[str, Kind] = dict.fromkeys(names, "null")
    extents: list[tuple[Extent, int]] = []
    for i, ((file, start), samples) in enumerate(zip(files, _sample_counts(files), strict=True)):
        cuts = cut(file, start, chunk_bytes, samples, guess=guess)
        if samples:
            found = sampled_kinds(cuts.samples, file, source)
            kinds = {name: join(kinds[name], kind) for name, kind in found.items()}
        extents += [
            (Extent(i, first, end, guesses=cuts.guesses_in(first, end)), end - first)
            for first, end in cuts.ranges
        ]
    return settled({name: DataType(kind) for name, kind in kinds.items()}, source.declared), extents


def _with_heads(source_files: list[SourceFile], source: SourceSpec) -> list[tuple[CsvFile, int]]:
    """Each file with the offset of its first record of data.

    Raises SchemaConflict if they have not the same columns.
    """
    names: tuple[str, ...] = ()
    files: list[tuple[CsvFile, int]] = []
    for source_file in source_files:
        file = csv_file(source_file, source)
        found = head(file)
        names = names or found.names  # one object for all: names of many wide files would fill the memory
        if found.names != names:
            others = f"{source_files[0].uri} has {listed(names)}"
            raise SchemaConflict(f"{file.uri} has the columns {listed(found.names)}; {others}")
        files.append((replace(file, names=names), found.start))
    return files


def _sample_counts(files: list[tuple[CsvFile, int]]) -> Iterator[int]:
    """How many samples to take of each file."""
    step = -(-len(files) * len(files[0][0].names) // _SAMPLED_COLUMNS)
    return (max(_SAMPLES // len(files), 1) if i % step == 0 else 0 for i in range(len(files)))


def sampled_kinds(samples: list[Block], file: CsvFile, source: SourceSpec) -> dict[str, Kind]:
    """The kind of every column over all *samples*; `null` where no value was seen."""
    texts = _texts(samples, file, file.names)
    return {name: _kind(texts[name], source) if texts else "null" for name in file.names}


def _kind(text: Column, source: SourceSpec) -> Kind:
    return "null" if text.null_count == len(text) else narrowest(text, _KINDS, source)


def sampled_texts(
    source_files: list[SourceFile], source: SourceSpec, columns: Collection[str]
) -> Iterator[dict[str, Column]]:
    """For each file with samples, the texts of *columns* in the samples that a proven plan takes."""
    files = _with_heads(source_files, source)
    for (file, start), samples in zip(files, _sample_counts(files), strict=True):
        if samples:
            whole = file.content.file.size + 1
            yield _texts(cut(file, start, whole, samples, guess=False).samples, file, columns)


def _texts(samples: list[Block], file: CsvFile, columns: Collection[str]) -> dict[str, Column]:
    """The texts of *columns* over all *samples*; nothing without a sample. Raises for the first bad row."""
    types = dict.fromkeys(columns, BINARY)
    try:
        tables = [tokenized(sample, file, types) for sample in samples]
    except BadRecord as found:
        raise found.row.error() from found
    return {
        name: nulled(pa.concat_arrays([column(table, name) for table in tables]), file.options)
        for name in columns
        if tables
    }
