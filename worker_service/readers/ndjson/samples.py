"""Samples of NDJSON files: the names that their records have, and the texts of some columns.

msgspec reads the lines of a sample at once. Where it cannot, they are read one by one.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from worker_service.readers.ndjson.content import Block, Content, blocks, line_start, start_of
from worker_service.readers.ndjson.exact import COLUMN_DEPTH, BadLine, Values, Wanted, values_of
from worker_service.readers.ndjson.raws import picker_of, texts_of
from worker_service.readers.ndjson.values import TAGS, Texts, texts_in

SAMPLE_BYTES = 32 * 1024
_DECODER = msgspec.json.Decoder(dict[str, Any])


class Sample(NamedTuple):
    """The names of all columns of some records, in the order of first occurrence, and `texts` by column."""

    names: dict[str, None]
    texts: dict[str, Texts]


def samples(content: Content, count: int) -> Iterator[Block]:
    """About *count* blocks of lines, one at least, spread over the file; of a stream, its beginning."""
    start, size, count = start_of(content), content.file.size, max(count, 1)
    if content.streamed:
        yield from _first(blocks(content, start, size, SAMPLE_BYTES * count))
        return
    stride = max(size // count, SAMPLE_BYTES)
    for at in range(0, size, stride):
        first = start if at <= start else line_start(content, at)
        yield from _first(blocks(content, first, size, SAMPLE_BYTES))


def _first(found: Iterator[Block]) -> Iterator[Block]:
    block = next(found, None)
    if block is not None:
        yield block


def records_of(blocks: Iterator[Block], wanted: Wanted) -> Iterator[Values]:
    """The records of *blocks*; bad lines are left for the reader to find."""
    for block in blocks:
        for _, line in block.lines(0, block.bounds[0].size):
            try:
                yield values_of(line, wanted)
            except BadLine:
                continue


def sample_of(content: Content, count: int, columns: Collection[str]) -> Sample:
    """The sample of a file, with the texts of *columns*."""
    found = [_quickly(block, columns) or _one_by_one(block, columns) for block in samples(content, count)]
    names = {name: None for sample in found for name in sample.names if "\0" not in name}
    return Sample(names, {name: _joined([sample.texts[name] for sample in found]) for name in columns})


def _one_by_one(block: Block, columns: Collection[str]) -> Sample:
    records = list(records_of(iter([block]), Wanted()))
    names = {name: None for record in records for name in record}
    return Sample(names, {name: texts_in(records, name) for name in columns})


def _quickly(block: Block, columns: Collection[str]) -> Sample | None:
    """None for lines that have to be read one by one."""
    try:
        records = _DECODER.decode_lines(block.data[: block.size])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    names = {name: None for record in records for name in _names(record, "", 0)}
    flat = {name for name in columns if "." in name and any(name in record for record in records)}
    picker = picker_of(columns, flat, names)
    texts = texts_of(block, slice(0, block.bounds[0].size), picker) if picker else None
    return None if texts is None else Sample(names, texts)


def _names(record: dict[str, Any], prefix: str, depth: int) -> Iterator[str]:
    for key, value in record.items():
        if isinstance(value, dict) and depth < COLUMN_DEPTH:
            yield from _names(value, f"{prefix}{key}.", depth + 1)
        yield prefix + key


def _joined(found: Sequence[Texts]) -> Texts:
    if not found:
        return texts_in([], "")
    tagged = {tag: np.concatenate([texts.tagged[tag] for texts in found]) for tag in TAGS}
    return Texts(pa.concat_arrays([texts.text for texts in found]), tagged)
