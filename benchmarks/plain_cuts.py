"""A child process that cuts a CSV file at the nearest line feed, and counts its records, without a look at quotes: right only where quotes hide
neither line feeds nor delimiters.

Swapped in by benchmarks.exact_cost only; everything else, the parser's own understanding of quotes included, is the product's.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from itertools import pairwise
from typing import Any
from unittest.mock import patch

from worker_service.child.__main__ import main
from worker_service.readers import SourceFile, csv_plan, records
from worker_service.readers.csv_split import Block, occurrences
from worker_service.readers.files import pread
from worker_service.readers.place import Place
from worker_service.readers.shape import Dialect

reading = import_module("worker_service.readers.read")  # the package has a function of this name
_LOOK = 64 * 1024
"""Bytes in which the next line feed is looked for."""


def cut(place: Place, start: int, chunk_bytes: int, spots: int) -> Any:
    """In the place of csv_plan's: seeks to where a chunk or a sample should begin, and takes the next line."""
    file = place.content.file

    def starts(step: int) -> list[int]:
        return [start, *(at + pread(file, at, _LOOK).index(b"\n") + 1 for at in range(step, file.size - _LOOK, step))]

    samples = [next(blocks(file, at, file.size, _LOOK)) for at in starts(max(file.size // spots, _LOOK))]
    return csv_plan.Cuts(list(pairwise([*starts(chunk_bytes), file.size])), samples)


def blocks(file: SourceFile, start: int, end: int, size: int, *_: Any, **__: Any) -> Iterator[Block]:
    """In the place of csv_split's `file_blocks`: ends at the last line feed of what was read."""
    while start < end:
        data = pread(file, start, min(size, end - start))
        cut = len(data) if start + len(data) == end else data.rindex(b"\n") + 1
        yield Block(start, data, data, cut)
        start += cut
        del data


def count(block: Block, dialect: Dialect, fields: int) -> int:
    """In the place of records': every delimiter counts."""
    return occurrences(block.data, dialect.delimiter, block.size) // (fields - 1)


if __name__ == "__main__":
    with ExitStack() as swapped:
        for module, name, plain in ((csv_plan, "_cut", cut), (reading, "file_blocks", blocks), (records, "count", count)):
            swapped.enter_context(patch.object(module, name, plain))
        main()
