"""Plans NDJSON files: types of the columns in use from samples of them, and the extents of each.

A column's kind is the narrowest that holds every value of every sample. A value that they miss widens its
column later. Any record may lack any field, so the samples may miss a column too. All lines are searched for
it before it is called unknown.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice, pairwise

from shared.core.plan import Extent
from shared.errors import NotSupported
from shared.spec.names import quote
from shared.spec.source import CsvOptions, SourceSpec
from shared.spec.uses import Uses
from worker_service.readers.batch import shown
from worker_service.readers.bytes.json_shapes import items_of
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.inference import Samples, Use
from worker_service.readers.literals import Column
from worker_service.readers.ndjson.content import Content, blocks, content_of, line_starts, start_of
from worker_service.readers.ndjson.exact import BadLine, Values, Wanted, values_of
from worker_service.readers.ndjson.samples import records_of, sample_of, samples
from worker_service.readers.ndjson.values import kind_of
from worker_service.readers.schema import Findings, columns_in_files, settled

_SAMPLES = 16
"""Samples of one file, or of many together, but one of each at least."""
_SEARCHED = 1024 * 1024
_MANY = 2
"""Records of which none holds all data."""


def names(file: SourceFile, source: SourceSpec) -> Collection[str]:
    """The columns that sampled records have."""
    return sample_of(content_of(file, source), 1, ()).names


def plan(
    files: list[SourceFile], source: SourceSpec, uses: Uses, chunk_bytes: int, *, guess: bool
) -> Findings:
    """The schema of the columns in use, and every extent with its size in bytes, in file order.

    All cuts are proven. With *guess*, columns that the samples miss are unknown.
    """
    plain = source.model_copy(update={"csv": CsvOptions()})
    contents = [content_of(file, source) for file in files]
    sampled = Samples((Use(name, key=False) for name in uses.columns if name not in source.types), plain)
    known: dict[str, None] = {}
    sampled_records: list[Values] = []
    for content in contents:
        sampled_records += islice(records_of(samples(content, 1), Wanted()), _MANY)
        sample = sample_of(content, _SAMPLES // len(files), sampled.columns)
        known |= sample.names
        sampled.add(
            {name: sample.texts[name].text for name in sampled.columns.intersection(uses.values)},
            {name: kind_of(texts, plain) for name, texts in sample.texts.items()},
        )
    if not guess:
        known |= dict.fromkeys(_searched(contents, set(uses.columns) - known.keys()))
    if not sampled_records and set(uses.columns) - known.keys():
        _check_is_json(contents)
    columns, lacking = columns_in_files(
        [(file.uri, known) for file in files], source, uses, lambda _: _only_record(sampled_records)
    )
    extents = [extent for i, content in enumerate(contents) for extent in _extents(i, content, chunk_bytes)]
    found = sampled.readings(uses)
    types = {use: kind for use, kind in sampled.types.items() if use.column in columns}
    schema = settled(columns, source.declared, types, found.reads)
    return Findings(schema, extents, (*lacking, *found.warnings), found.culprits)


def _extents(index: int, content: Content, chunk_bytes: int) -> Iterator[tuple[Extent, int]]:
    start, size = start_of(content), content.file.size
    if content.streamed:
        yield Extent(index, 0, size), size
    elif start < size:
        for first, end in pairwise((*line_starts(content, start, chunk_bytes), size)):
            yield Extent(index, first, end), end - first


def _check_is_json(contents: Sequence[Content]) -> None:
    """Raise NotSupported with the first line that is no record, if the samples of *contents* have one."""
    for content in contents:
        for block in samples(content, _SAMPLES // len(contents)):
            for number, line in block.lines(0, block.bounds[0].size):
                try:
                    values_of(line, Wanted())
                except BadLine as error:
                    at = block.offset + int(block.bounds[0][number])
                    place = f"byte {at}{content.offsets}, line {content.line(at)}"
                    told = f"{place}: {error.fault.reason}; the line is {shown(line, 'utf-8')!r}"
                    cure = 'set source.format to "auto", or write one JSON object a line'
                    raise NotSupported(f"{content.uri} is no NDJSON: {told}; {cure}") from error


def _only_record(records: Sequence[Values]) -> str:
    """The cure where one record holds all data in an array; empty for other records."""
    if len(records) != 1:
        return ""
    arrays = (name for name, pair in records[0].items() if pair and re.match(r"\[\s*\{", pair[1]))
    name = next(arrays, None)
    if name is None:
        return ""
    told = f"; the data is one record, and {quote(name)} is an array in it"
    return f"{told}: {items_of(*name.split('.'))} writes one object of it a line"


def _searched(contents: Sequence[Content], missing: Collection[str]) -> Iterator[str]:
    """Those of the *missing* columns that some record has, by a pass over all lines."""
    left = dict.fromkeys(missing)
    for content in contents:
        if not left:
            return
        for block in blocks(content, start_of(content), content.file.size, _SEARCHED):
            wanted = Wanted(left)
            keys = [_end_of_key(name) for name in left]
            lines = block.lines(0, block.bounds[0].size) if any(key in block.data for key in keys) else ()
            for _, line in lines:
                if any(key in line for key in keys):
                    for name in _of_line(line, wanted).keys() & left.keys():
                        del left[name]
                        yield name


def _of_line(line: bytes, wanted: Wanted) -> Values:
    try:
        return values_of(line, wanted)
    except BadLine:
        return {}


def _end_of_key(name: str) -> bytes:
    """Bytes that every line with the column has; none where its key may be written in several ways."""
    last = name.rsplit(".", 1)[-1]
    return f'{last}"'.encode() if last.isalnum() and last.isascii() else b""


def sampled_texts(
    files: list[SourceFile], source: SourceSpec, columns: Collection[str]
) -> Iterator[dict[str, Column]]:
    """For each file, the texts of *columns* in its samples."""
    for file in files:
        sample = sample_of(content_of(file, source), _SAMPLES // len(files), columns)
        yield {name: texts.text for name, texts in sample.texts.items()}
