"""A child process that cuts a CSV file at the nearest line feed, without a look at quotes.

That is right only where quotes hide no line feeds. Swapped in by benchmarks.exact_cost only, and only for
files named *.plain.csv, so that both sides are measured in the same processes. Everything else is the
product's: the receipt's count of records, and the parser's own understanding of quotes.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from worker_service.child.__main__ import main
from worker_service.readers.bytes.local import pread
from worker_service.readers.csv import bits, plan, read
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.cuts import Cuts
from worker_service.readers.csv.dialect import Dialect
from worker_service.readers.csv.file import CsvFile

RUN_BY = ("exact_cost",)
_LOOK = 64 * 1024
"""Bytes in which the next line feed is looked for."""
Count = Callable[[npt.NDArray[np.uint8], Dialect], int]


def cut(file: CsvFile, start: int, chunk_bytes: int, samples: int, **_: Any) -> Cuts:
    """Instead of `cuts.cut`: seeks to where a chunk or a sample should begin, and takes the next line."""
    source = file.content.file

    def starts(step: int) -> list[int]:
        targets = range(step, source.size - _LOOK, step)
        return [start, *(at + pread(source, at, _LOOK).index(b"\n") + 1 for at in targets)]

    sampled = starts(max(source.size // samples, _LOOK))
    found = [next(blocks(every, file, at, source.size, _LOOK)) for at in sampled]
    return Cuts(list(pairwise([*starts(chunk_bytes), source.size])), found)


def blocks(count: Count, file: CsvFile, start: int, end: int, size: int, *_: Any) -> Iterator[Block]:
    """Instead of `blocks.file_blocks`: a block ends at the last line feed of the bytes read.

    *count* is for data with quotes.
    """
    dialect = file.dialect
    while start < end:
        data = pread(file.content.file, start, min(size, end - start))
        cut = len(data) if start + len(data) == end else data.rindex(b"\n") + 1
        quoted, octets = dialect.quote in data, np.frombuffer(data, np.uint8, cut)
        delimiters = count(octets, dialect) if quoted else every(octets, dialect)
        yield Block(start, data, data, cut, delimiters, quoted, quoted)
        start += cut
        del data


def every(octets: npt.NDArray[np.uint8], dialect: Dialect) -> int:
    return bits.occurrences(octets, dialect.delimiter[0])


def outside(octets: npt.NDArray[np.uint8], dialect: Dialect) -> int:
    """The delimiters outside quotes: the receipt needs them, however the file was cut."""
    found, inside = 0, False
    for run in (octets[at : at + bits.RUN] for at in range(0, octets.size, bits.RUN)):
        even = bits.parity(bits.matches(run, dialect.quote[0]), not inside)
        found += int(np.bitwise_count(bits.matches(run, dialect.delimiter[0]) & even).sum())
        inside = not bits.bit(even, run.size - 1)
    return found


def run(count: Count) -> None:
    proven_cut, proven_blocks = plan.cut, read.file_blocks

    def cut_or(file: CsvFile, *more: Any, **options: Any) -> Cuts:
        return (cut if _plain(file) else proven_cut)(file, *more, **options)

    def blocks_or(file: CsvFile, *more: Any) -> Iterator[Block]:
        return blocks(count, file, *more) if _plain(file) else proven_blocks(file, *more)

    with patch.object(plan, "cut", cut_or), patch.object(read, "file_blocks", blocks_or):
        main()


def _plain(file: CsvFile) -> bool:
    return file.uri.endswith(".plain.csv")


if __name__ == "__main__":
    run(outside)
