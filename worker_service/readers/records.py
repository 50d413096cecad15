"""How many records a block holds, told from its bytes alone: the parser's rows are checked against it, so it must not ask the parser.

Every record has as many delimiters outside quotes as the header; the parser refuses one that has not. So delimiters are counted, and line
ends, of which there are three kinds and empty ones, need no thought. Only records of a single field have no delimiter.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from worker_service.readers.csv_split import CACHED, Block, occurrences, records
from worker_service.readers.shape import Dialect

_BITS = 64
Words = npt.NDArray[np.uint64]
"""One bit a byte of text, the first byte lowest."""


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
    quoted = bool(dialect.quote) and dialect.quote in block
    if fields > 1:
        return (_outside(block, dialect) if quoted else occurrences(block.shape, dialect.delimiter, block.size)) // (fields - 1)
    if quoted or dialect.comment or b"\r" in block:
        return len(records(block.exact().shape, dialect, keep_empty=True).starts)
    return occurrences(block.shape, b"\n", block.size) + (block.shape[block.size - 1 : block.size] != b"\n")


def _outside(block: Block, dialect: Dialect) -> int:
    """The delimiters outside quotes."""
    octets = np.frombuffer(block.shape, np.uint8, block.size)
    inside = _parity(_places(octets, dialect.quote))
    return int(np.bitwise_count(_places(octets, dialect.delimiter) & ~inside).sum())


def _places(octets: npt.NDArray[np.uint8], octet: bytes) -> Words:
    """Where *octet* is, found in runs that stay in the processor's cache."""
    bits = np.zeros(-(-octets.size // _BITS) * _BITS // 8, np.uint8)
    found = np.empty(min(octets.size, CACHED), np.bool_)
    for at in range(0, octets.size, CACHED):
        piece = octets[at : at + CACHED]
        run = np.packbits(np.equal(piece, octet[0], out=found[: piece.size]), bitorder="little")
        bits[at // 8 : at // 8 + run.size] = run
    return bits.view("<u8")


def _parity(words: Words) -> Words:
    """Each bit becomes, in place, the parity of all bits up to it: a prefix sum within each word, then the carry of all words before it."""
    shifted = np.empty_like(words)
    for shift in (1, 2, 4, 8, 16, 32):
        words ^= np.left_shift(words, np.uint64(shift), out=shifted)
    carry = np.bitwise_xor.accumulate(np.right_shift(words, np.uint64(_BITS - 1), out=shifted))
    words[1:] ^= np.negative(carry, out=carry)[:-1]
    return words
