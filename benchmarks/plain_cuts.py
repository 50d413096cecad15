"""A child process that cuts a CSV file at the nearest line feed, without a look at quotes.

This is right only where quotes hide no line feeds. benchmarks.exact_cost swaps it in, and only for files
named *.plain.csv, so that both sides are measured in the same processes. All else is the product's, also the
receipt's count of records and the parser's handling of quotes.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from worker_service.child.__main__ import main
from worker_service.readers import SourceFile, bits, csv_plan
from worker_service.readers.csv_split import Block
from worker_service.readers.files import pread
from worker_service.readers.place import Place
from worker_service.readers.shape import Dialect

reading = import_module("worker_service.readers.read")  # the package has a function of this name
RUN_BY = ("exact_cost",)
_LOOK = 64 * 1024
"""Bytes in which the next line feed is looked for."""
Count = Callable[[npt.NDArray[np.uint8], Dialect], int]


def cut(place: Place, start: int, chunk_bytes: int, spots: int, **_: Any) -> Any:
    """Replaces csv_plan's: seeks to where a chunk or a sample should begin, and takes the next line."""
    file = place.content.file

    def starts(step: int) -> list[int]:
        return [
            start,
            *(at + pread(file, at, _LOOK).index(b"\n") + 1 for at in range(step, file.size - _LOOK, step)),
        ]

    samples = [
        next(blocks(every, file, at, file.size, _LOOK, place.dialect))
        for at in starts(max(file.size // spots, _LOOK))
    ]
    return csv_plan.Cuts(list(pairwise([*starts(chunk_bytes), file.size])), samples)


def blocks(
    count: Count, file: SourceFile, start: int, end: int, size: int, dialect: Dialect, *_: Any
) -> Iterator[Block]:
    """Replaces csv_split's `file_blocks`: a block ends at the last line feed of the bytes read.

    *count* is for data with quotes.
    """
    while start < end:
        data = pread(file, start, min(size, end - start))
        cut = len(data) if start + len(data) == end else data.rindex(b"\n") + 1
        quoted, octets = dialect.quote in data, np.frombuffer(data, np.uint8, cut)
        yield Block(
            start,
            data,
            data,
            cut,
            count(octets, dialect) if quoted else every(octets, dialect),
            quoted,
            quoted,
        )
        start += cut
        del data


def every(octets: npt.NDArray[np.uint8], dialect: Dialect) -> int:
    return bits.occurrences(octets, dialect.delimiter[0])


def outside(octets: npt.NDArray[np.uint8], dialect: Dialect) -> int:
    """Count the delimiters outside quotes: the receipt needs it however the file was cut."""
    found, inside = 0, False
    for run in (octets[at : at + bits.RUN] for at in range(0, octets.size, bits.RUN)):
        even = bits.parity(bits.places(run, dialect.quote[0]), not inside)
        found += int(np.bitwise_count(bits.places(run, dialect.delimiter[0]) & even).sum())
        inside = not bits.at(even, run.size - 1)
    return found


def run(count: Count) -> None:
    def cut_or(place: Place, *more: Any, **options: Any) -> Any:
        return (cut if _plain(place.content.file) else proven_cut)(place, *more, **options)

    def blocks_or(file: SourceFile, *more: Any) -> Iterator[Block]:
        return blocks(count, file, *more) if _plain(file) else proven_blocks(file, *more)

    proven_cut = getattr(csv_plan, "_cut")  # noqa: B009  # private, and called unchanged
    proven_blocks = reading.file_blocks
    with patch.object(csv_plan, "_cut", cut_or), patch.object(reading, "file_blocks", blocks_or):
        main()


def _plain(file: SourceFile) -> bool:
    return file.uri.endswith(".plain.csv")


if __name__ == "__main__":
    run(outside)
