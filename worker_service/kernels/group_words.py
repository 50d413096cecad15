"""Totals of each group in words of 64 bits, to which rows are added in place (source/accumulate.c).

All words of a group lie side by side. Where the groups are too many for the cache, a row then fetches one
line of memory, not one for each total.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker_service.arrow import Ints
from worker_service.native import Library

_LINE = 8
"""Words of a line of memory."""


class Kind(IntEnum):
    """How a step takes the values of its rows, see `gm_add_rows`."""

    ROWS = 0
    INTS = 1
    DOUBLES = 2
    WORDS = 3
    LARGEST = 4
    PRODUCTS = 5


class Total:
    """A number of each group.

    Its owner may set more words as its `width`, and as `shift` by how many bits the unit gets finer. Both
    hold from the next rows on.
    """

    def __init__(self, width: int) -> None:
        self.width, self.shift = width, 0


class Step(NamedTuple):
    """Adds some rows, of which it has the *codes* of their groups and the values, to a total.

    *kind* is a `Kind`; that of products also tells which factors are doubles. *unit* is the exponent of the
    total's unit; of the largest value it is the bits that each value is changed by. Doubles are at most
    2**high in size.
    """

    total: Total
    kind: int
    codes: Ints
    left: NDArray[Any] | None = None
    right: NDArray[Any] | None = None
    unit: int = 0
    high: int = 0


class _Place(NamedTuple):
    """The words of a total among those of a group."""

    first: int
    width: int


_NOWHERE = _Place(0, 0)


class GroupWords:
    """The totals of all groups; those of a new group, and a new total, are zero."""

    def __init__(self, native: Library) -> None:
        self.native = native
        self._places: dict[Total, _Place] = {}
        self._lay_out([], 0)

    @property
    def nbytes(self) -> int:
        return self._words.nbytes

    @property
    def stride(self) -> int:
        """The words from one group to the next."""
        return int(self._words.shape[1])

    def add(self, steps: Sequence[Step], groups: int) -> None:
        """Rows of some of *groups*, whose number only grows and whose codes stay as they are."""
        self._make_room([step.total for step in steps], groups)
        of_rows: dict[int, list[Step]] = {}
        for step in steps:
            of_rows.setdefault(id(step.codes), []).append(step)
        for its in of_rows.values():
            codes, table = its[0].codes, np.array([self._row(step) for step in its], np.int64)
            self.native.gm_add_rows(codes.ctypes.data, len(codes), table.ctypes.data, len(table))

    def copied(self, total: Total) -> Total:
        """A new total, which begins with the numbers of *total*; a count, say, which has no unit."""
        found = Total(total.width)
        if total in self._places:
            self._make_room([found], len(self._words))
            self.of(found)[:] = self.of(total)
        return found

    def of(self, total: Total) -> NDArray[np.uint64]:
        """The words of a total, one row for each group that there is room for; none before its first rows."""
        first, width = self._places.get(total, _NOWHERE)
        return self._words[: len(self._words) if width else 0, first : first + width]

    def numbers(self, total: Total, groups: int) -> Ints:
        """A total of one word, of *groups*; those without rows so far have zero."""
        found: Ints = np.zeros(groups, np.int64)
        words = self.of(total)[:groups]
        found[: len(words)] = words[:, 0].view(np.int64) if len(words) else 0
        return found

    def _row(self, step: Step) -> list[int]:
        """The step as `gm_add_rows` takes it."""
        left, right = (0 if values is None else values.ctypes.data for values in (step.left, step.right))
        totals = self.of(step.total)
        return [
            step.kind,
            totals.ctypes.data,
            self.stride,
            totals.shape[1],
            left,
            right,
            step.unit,
            step.high,
        ]

    def _make_room(self, totals: Iterable[Total], groups: int) -> None:
        """Room for *groups*, and for as many words as *totals* ask for, in the unit that they ask for."""
        known = len(self._words)
        asked = [total for total in totals if total.shift or total.width > self.of(total).shape[1]]
        room = known if groups <= known else groups + groups // 2 if known else groups
        if asked:
            self._move([*dict.fromkeys([*self._places, *asked])], room)
        elif room > known:
            self._grow(room)

    def _move(self, totals: Sequence[Total], room: int) -> None:
        known, stride, old = len(self._words), self.stride, {total: self.of(total) for total in self._places}
        self._lay_out(totals, room)
        for total, words in old.items():
            to, width = self.of(total), words.shape[1]
            self.native.gm_totals_moved(
                words.ctypes.data, stride, width, known, total.shift, to.ctypes.data, self.stride, to.shape[1]
            )
        for total in totals:
            total.shift = 0

    def _lay_out(self, totals: Sequence[Total], room: int) -> None:
        ends = [0, *accumulate(total.width for total in totals)]
        self._places = {total: _Place(start, total.width) for total, start in zip(totals, ends, strict=False)}
        stride = _padded(ends[-1])
        self._memory: NDArray[np.uint64] = np.zeros(room * stride + _LINE, np.uint64)
        self._words = self._lines(room, stride)

    def _grow(self, room: int) -> None:
        """The memory is enlarged where it is, if it can be: two copies would be the most that a job takes."""
        stride, used, first = self.stride, self._words.size, _first_line(self._memory)
        del self._words
        self._memory.resize(room * stride + _LINE, refcheck=False)  # the views of it are gone
        moved = _first_line(self._memory)
        if moved != first:
            self._memory[moved : moved + used] = self._memory[first : first + used]
            self._memory[moved + used : first + used] = 0
        self._words = self._lines(room, stride)

    def _lines(self, rows: int, width: int) -> NDArray[np.uint64]:
        first = _first_line(self._memory)
        return self._memory[first : first + rows * width].reshape(rows, width)


def _padded(words: int) -> int:
    """As many words as divide a line, so that none lie across two; those that are more than a line may."""
    return words if words > _LINE else 1 << max(words - 1, 0).bit_length()


def _first_line(memory: NDArray[np.uint64]) -> int:
    """The word of *memory* that begins a line."""
    return -memory.ctypes.data // memory.itemsize % _LINE
