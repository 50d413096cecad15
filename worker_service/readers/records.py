"""How many records a block holds, told from its bytes alone: the parser's rows are checked against it, so it must not ask the parser.

Every record has as many delimiters outside quotes as the header; the parser refuses one that has not. So
delimiters are counted, and line ends, of which there are three kinds and empty ones, need no thought. Only
records of a single field have no delimiter.
"""

from collections.abc import Iterator

import numpy as np

from worker_service.readers import bits
from worker_service.readers.csv_split import Block, records
from worker_service.readers.shape import Dialect

(_LF,) = b"\n"


class Tally:
    """Counts the records that go by."""

    def __init__(self) -> None:
        self.records = 0

    def counted(self, blocks: Iterator[Block], dialect: Dialect, fields: int) -> Iterator[Block]:
        for block in blocks:
            self.records += count(block, dialect, fields)
            yield block
            del block  # or it would stay in memory while the next one is read


def count(block: Block, dialect: Dialect, fields: int) -> int:
    """The records of *block*; any number if one of them has not *fields* fields."""
    if fields > 1:
        return block.delimiters // (fields - 1)
    if block.quoted or dialect.comment or b"\r" in block:
        return len(records(block.exact().shape, dialect, keep_empty=True).starts)
    ended = block.shape[block.size - 1 : block.size] == b"\n"
    return bits.occurrences(np.frombuffer(block.shape, np.uint8, block.size), _LF) + (not ended)
