"""Plans CSV files: types of the columns in use from samples of them, and the extents of each.

A column's kind is the narrowest that holds every value of every sample. The samples depend on the files'
bytes and on nothing else. A value that they miss widens its column later, when it is read.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from shared.core.plan import Extent, Warned
from shared.errors import SourceEmpty
from shared.spec.source import SourceSpec
from shared.spec.uses import Uses
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.cuts import cut
from worker_service.readers.csv.file import CsvFile, csv_file
from worker_service.readers.csv.head import check_names, head
from worker_service.readers.csv.misplaced import delimited_otherwise, named_below
from worker_service.readers.csv.native.samples import samples as native_samples
from worker_service.readers.csv.tokenizer import TEXT, column, nulled, tokenize
from worker_service.readers.inference import Samples, undeclared
from worker_service.readers.literals import Column, Fits
from worker_service.readers.schema import Findings, columns_in_files, settled

_SAMPLES = 16
"""Samples of one file; of many files together as many, but one of each at least."""
_TOGETHER = 256 * 1024
"""Bytes of samples of small files that are read together: each step costs as much as some thousand values."""
_SAMPLED_COLUMNS = 100_000
"""Columns to sample in all files together. Of many wide files some are sampled, spread over the dataset."""


def names(file: SourceFile, source: SourceSpec) -> Collection[str]:
    return head(csv_file(file, source)).names


def plan(
    source_files: list[SourceFile], source: SourceSpec, uses: Uses, chunk_bytes: int, *, guess: bool
) -> Findings:
    """The schema of the columns in use, and every extent with its size in bytes, in file order.

    A file without records has no extent.
    """
    files, warnings = _with_heads(source_files, source)
    first, _ = next(iter(files.values()))
    named = [(file.uri, file.names) for file, _ in files.values()]
    columns, lacking = columns_in_files(
        named, source, uses, lambda name: named_below(first, name), delimited_otherwise
    )
    for file, _ in {id(file.names): (file, start) for file, start in files.values()}.values():
        check_names(file, columns)
    sampled = Samples(undeclared(columns, source, uses), source)
    together = _Together(sampled, source)
    extents: list[tuple[Extent, int]] = []
    for (i, (file, start)), samples in zip(files.items(), _sample_counts(files), strict=True):
        cuts = cut(file, start, chunk_bytes, samples, guess=guess)
        if samples:
            together.add(file, cuts.samples)
        extents += [
            (Extent(i, first, end, guesses=cuts.guesses_in(first, end)), end - first)
            for first, end in cuts.ranges
        ]
    together.end()
    found = sampled.readings(uses)
    schema = settled(columns, source.declared, sampled.types, found.reads)
    return Findings(schema, extents, (*warnings, *lacking, *found.warnings), found.culprits)


class _Together:
    """Adds the samples of files to *sampled*: those of small neighbours with one header together."""

    def __init__(self, sampled: Samples, source: SourceSpec) -> None:
        self._sampled, self._source = sampled, source
        self._file: CsvFile | None = None
        self._blocks: list[Block] = []
        self._bytes = 0

    def add(self, file: CsvFile, blocks: list[Block]) -> None:
        if self._file is None or file.names is not self._file.names or self._bytes >= _TOGETHER:
            self.end()
            self._file = file
        self._blocks += blocks
        self._bytes += sum(block.size for block in blocks)

    def end(self) -> None:
        if self._file is not None:
            columns = self._sampled.columns.intersection(self._file.names)
            texts = _texts(self._blocks, self._file, columns, self._source)
            self._sampled.add(texts.nulled, quoted=texts.present, holds=texts.holds)
        self._file, self._blocks, self._bytes = None, [], 0


def _with_heads(
    source_files: list[SourceFile], source: SourceSpec
) -> tuple[dict[int, tuple[CsvFile, int]], list[Warned]]:
    """By its number, each file that has a header or a record, with the offset of its first record of data.

    Files of one header share its names: those of many wide files would fill the memory. Raises SourceEmpty if
    no file has any.
    """
    files: dict[int, tuple[CsvFile, int]] = {}
    warnings: list[Warned] = []
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for i, source_file in enumerate(source_files):
        file = csv_file(source_file, source)
        try:
            found = head(file)
        except SourceEmpty as error:
            if i + 1 == len(source_files) and not files:
                raise
            warnings.append(Warned("empty_file", f"{error.detail}; it is left out"))
            continue
        files[i] = replace(file, names=known.setdefault(found.names, found.names)), found.start
    return files, warnings


def _sample_counts(files: Mapping[int, tuple[CsvFile, int]]) -> Iterator[int]:
    """How many samples to take of each file."""
    columns = sum(len(file.names) for file, _ in files.values())
    step = -(-columns // _SAMPLED_COLUMNS)
    return (max(_SAMPLES // len(files), 1) if no % step == 0 else 0 for no in range(len(files)))


def sampled_texts(
    source_files: list[SourceFile], source: SourceSpec, columns: Collection[str]
) -> Iterator[dict[str, Column]]:
    """For each file with samples, the texts of *columns* in the samples that a proven plan takes."""
    files, _ = _with_heads(source_files, source)
    for (file, start), samples in zip(files.values(), _sample_counts(files), strict=True):
        if samples:
            whole = file.content.end + 1
            found = cut(file, start, whole, samples, guess=False).samples
            yield _texts(found, file, set(columns).intersection(file.names), source).nulled


class _Texts(NamedTuple):
    """The texts of columns, `nulled`. `present`: the columns with texts, or with quoted nulls.

    `holds` is as `Samples.add` takes it.
    """

    nulled: dict[str, Column]
    present: set[str]
    holds: dict[str, Fits]


def _texts(samples: list[Block], file: CsvFile, columns: Collection[str], source: SourceSpec) -> _Texts:
    """The texts of *columns* over all *samples*, without those of bad rows; nothing without a sample."""
    if not samples or not columns:
        return _Texts({}, set(), {})
    native = native_samples(samples, file, source)
    raw = native.texts(columns) if native else None
    holds = {name: native.holds(name) for name in columns} if native and raw is not None else {}
    if raw is None:
        tables = [tokenize(sample, file, dict.fromkeys(columns, TEXT)).table for sample in samples]
        raw = {name: pa.concat_arrays([column(table, name) for table in tables]) for name in columns}
    present = {name for name, text in raw.items() if text.null_count < len(text)}
    if any(sample.quoted for sample in samples):
        raw = {name: nulled(text, file.options) for name, text in raw.items()}
    return _Texts(raw, present, holds)
