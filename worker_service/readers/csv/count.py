"""Counts the records of a block from its bytes alone: the parser's rows are checked against it.

Every record has as many delimiters outside quotes as the header; the parser refuses one that has not. So
delimiters are counted, and the three kinds of line ends and empty lines do not matter. Only records of a
single field have no delimiter.
"""

import numpy as np

from worker_service.readers.csv import bits
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.file import CsvFile

(_LF,) = b"\n"


def count(block: Block, file: CsvFile) -> int:
    """The number of records; any number if one of them has too few or too many fields."""
    fields = len(file.names)
    if fields > 1:
        return block.delimiters // (fields - 1)
    if block.quoted or file.dialect.comment or b"\r" in block:
        return len(file.records(block.exact().masked).starts)
    ended = block.masked[block.size - 1 : block.size] == b"\n"
    return bits.occurrences(np.frombuffer(block.masked, np.uint8, block.size), _LF) + (not ended)
