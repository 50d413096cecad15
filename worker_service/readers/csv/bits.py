"""Facts about bytes as bits, one for each byte, 64 in a word, the lowest first: 64 bytes take one step."""

import numpy as np
import numpy.typing as npt

from worker_service.native import library

Octets = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

RUN = 2048 * 1024
"""Bytes whose bits, and the bools on the way to them, stay in the processor's cache between two passes."""

_BITS = 64
_ONE, _LAST = np.uint64(1), np.uint64(_BITS - 1)
_SHIFTS = [np.uint64(shift) for shift in (1, 2, 4, 8, 16, 32)]


def matches(octets: Octets, octet: int) -> Words:
    """A bit for every byte that is *octet*."""
    bits = np.packbits(octets == octet, bitorder="little")
    if bits.size % 8:
        bits = np.pad(bits, (0, -bits.size % 8))
    return bits.view("<u8")


def occurrences(octets: Octets, octet: int) -> int:
    """How many bytes are *octet*."""
    if (native := library()) is not None:
        return int(native.gm_count(octets.ctypes.data, octets.size, octet))
    return sum(int(np.count_nonzero(octets[at : at + RUN] == octet)) for at in range(0, octets.size, RUN))


def parity(words: Words, odd: bool) -> Words:
    """The parity of all bits up to each one; *odd* is the parity of the bits before the first.

    It is a prefix sum within each word, then the carry of the words before.
    """
    sums, shifted = words.copy(), np.empty_like(words)
    sums[0] ^= np.uint64(odd)
    for shift in _SHIFTS:
        sums ^= np.left_shift(sums, shift, out=shifted)
    carry = np.bitwise_xor.accumulate(np.right_shift(sums, _LAST, out=shifted))
    sums[1:] ^= np.negative(carry, out=carry)[:-1]
    return sums


def behind(words: Words, before: bool) -> Words:
    """A bit for every byte right behind one whose bit is set; *before* is the bit of the byte before all."""
    found = words << _ONE
    found[1:] |= words[:-1] >> _LAST
    found[0] |= np.uint64(before)
    return found


def beside(words: Words, size: int, before: bool, after: bool) -> Words:
    """A bit for every one of *size* bytes that is next to a byte whose bit is set.

    *before* and *after* are the bits of the bytes next to the first and to the last.
    """
    found, shifted = words << _ONE, np.empty_like(words)
    found |= np.right_shift(words, _ONE, out=shifted)
    found[1:] |= np.right_shift(words, _LAST, out=shifted)[:-1]
    found[:-1] |= np.left_shift(words, _LAST, out=shifted)[1:]
    found[0] |= np.uint64(before)
    found[-1] |= np.uint64(after) << np.uint64((size - 1) % _BITS)
    if size % _BITS:
        found[-1] &= (_ONE << np.uint64(size % _BITS)) - _ONE
    return found


def bit(words: Words, position: int) -> bool:
    return bool(words[position // _BITS] >> np.uint64(position % _BITS) & _ONE)
