"""Text as bits, one a byte, 64 in a word, the first lowest: what is asked of every byte of a file is asked of whole words."""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

_BITS = 64
_ONE, _LAST = np.uint64(1), np.uint64(_BITS - 1)
_RUN = 128 * 1024
"""Bytes that stay in the processor's cache between two passes over them."""


def places(octets: npt.NDArray[np.uint8], octet: int) -> Words:
    """Where *octet* is."""
    bits = np.zeros(-(-octets.size // _BITS) * _BITS // 8, np.uint8)
    found = np.empty(min(octets.size, _RUN), np.bool_)
    for at in range(0, octets.size, _RUN):
        piece = octets[at : at + _RUN]
        run = np.packbits(np.equal(piece, octet, out=found[: piece.size]), bitorder="little")
        bits[at // 8 : at // 8 + run.size] = run
    return bits.view("<u8")


def occurrences(octets: npt.NDArray[np.uint8], octet: int) -> int:
    """How often *octet* is there."""
    found = np.empty(min(octets.size, _RUN), np.bool_)
    total = 0
    for at in range(0, octets.size, _RUN):
        piece = octets[at : at + _RUN]
        total += int(np.count_nonzero(np.equal(piece, octet, out=found[: piece.size])))
    return total


def parity(words: Words) -> Words:
    """Each bit becomes, in place, the parity of all bits up to it: a prefix sum within each word, then the carry of all words before it."""
    shifted = np.empty_like(words)
    for shift in (1, 2, 4, 8, 16, 32):
        words ^= np.left_shift(words, np.uint64(shift), out=shifted)
    carry = np.bitwise_xor.accumulate(np.right_shift(words, _LAST, out=shifted))
    words[1:] ^= np.negative(carry, out=carry)[:-1]
    return words


def later(words: Words, first: bool) -> Words:
    """Each bit moves to the next byte; *first* is that of the first byte."""
    moved = words << _ONE
    moved[1:] |= words[:-1] >> _LAST
    moved[0] |= np.uint64(first)
    return moved


def earlier(words: Words, size: int, last: bool) -> Words:
    """Each bit moves to the byte before; *last* is that of the last of *size* bytes."""
    moved = words >> _ONE
    moved[:-1] |= words[1:] << _LAST
    moved[(size - 1) // _BITS] |= np.uint64(last) << np.uint64((size - 1) % _BITS)
    return moved


def at(words: Words, place: int) -> bool:
    return bool(words[place // _BITS] >> np.uint64(place % _BITS) & _ONE)
