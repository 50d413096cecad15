"""Running forms of states that keep values of each group, see `aggregates.running`."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from worker_service.arrow import Ints
from worker_service.kernels.aggregates.declaration import Columns, Rows, Running, Start, Types
from worker_service.kernels.aggregates.kept import Kept, Runs, Sorted, shortest
from worker_service.kernels.aggregates.order import has_ranks, ordered, sort_keys
from worker_service.kernels.aggregates.values import as_columns
from worker_service.kernels.group_words import GroupWords, Step
from worker_service.native import Library

Settle: TypeAlias = Callable[[Sequence[Runs], int], Kept]
"""The values that a state keeps of those of some runs, by group."""

_FEW_KEYS = 1 << 18
"""So many may wait before it is tried whether fewer have to be kept."""


class Waiting:
    """The values of each group, which wait by row.

    They are settled at the end, and before now and then where that saves memory.
    """

    def __init__(self, of: "pa.DataType", settle: Settle, *, largest: bool) -> None:
        self._settle, self._largest = settle, largest
        _, self._restore = ordered(pa.nulls(0, of), descending=largest)
        self._parts: list[Runs] = []
        self._keys, self._limit, self.nbytes = 0, _FEW_KEYS, 0

    def add(self, rows: Rows) -> Sequence[Step]:
        keys, _ = ordered(rows.values[0], descending=self._largest)
        self._parts.append(Runs(rows.groups.codes, None, keys))
        self._keys += len(keys)
        self.nbytes += rows.groups.codes.nbytes + keys.nbytes
        if self._keys > self._limit:
            self._shorten(rows.groups.size)
            self._limit = max(_FEW_KEYS, 4 * self._keys)
        return ()

    def _shorten(self, groups: int) -> None:
        found = self._settle(self._parts, groups)
        if 2 * len(found.keys) <= self._keys:
            self._parts = [Runs(np.arange(groups), found.bounds, found.keys, found.counts)]
            self._keys = len(found.keys)
            self.nbytes = 2 * found.keys.nbytes + 2 * found.bounds.nbytes

    def columns(self, groups: int) -> Columns:
        return as_columns(self._settle(self._parts, groups), self._restore)


class First:
    """The first *most* values of each group, in the order of values; in the reverse one if *flip* is -1."""

    def __init__(self, native: Library, of: "pa.DataType", most: int, flip: int) -> None:
        self._native, self._most, self._flip = native, most, flip
        _, self._restore = ordered(pa.nulls(0, of), descending=flip == -1)
        self._kept: Ints = np.zeros(0, np.int64)

    @property
    def nbytes(self) -> int:
        return self._kept.nbytes

    def add(self, rows: Rows) -> Sequence[Step]:
        keys, codes = sort_keys(rows.values[0]), rows.groups.codes
        self._kept = self._room(rows.groups.size)
        given = codes.ctypes.data, keys.ctypes.data, len(keys), self._flip
        self._native.gm_take_first(*given, self._kept.ctypes.data, self._most)
        return ()

    def _room(self, groups: int) -> Ints:
        """The kept values with room for *groups*, and for half as many more where there was too little."""
        size = groups * (self._most + 1)
        if size <= len(self._kept):
            return self._kept
        return np.append(self._kept, np.zeros(size + size // 2 - len(self._kept), np.int64))

    def columns(self, groups: int) -> Columns:
        width = self._most + 1
        kept = self._room(groups)[: groups * width].reshape(groups, width)
        sizes, keys = kept[:, 0], kept[:, 1:]
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        values = Sorted(keys[np.arange(self._most) < sizes[:, None]], None, bounds)
        return as_columns(shortest(values), self._restore)


def start_waiting(settle: Settle, *, largest: bool = False) -> Start:
    def start(_: GroupWords, types: Types) -> Running | None:
        return Waiting(types[0], settle, largest=largest) if _have_keys(types[0]) else None

    return start


def start_first(most: int, *, largest: bool) -> Start:
    def start(words: GroupWords, types: Types) -> Running | None:
        return First(words.native, types[0], most, -1 if largest else 0) if _have_keys(types[0]) else None

    return start


def _have_keys(of: "pa.DataType") -> bool:
    """Ranks of strings and of wide decimals compare among the values of one frame only."""
    return not has_ranks(pa.nulls(0, of))
