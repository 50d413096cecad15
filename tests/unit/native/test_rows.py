"""Rows are taken out of columns in place: as pyarrow's filter does it."""

import random

import numpy as np
import pyarrow as pa
import pytest

from worker_service.readers.csv.native.rows import dropped, left_out, replaced

KINDS = [pa.int64(), pa.float64(), pa.date32(), pa.bool_(), pa.string(), pa.decimal128(22, 2)]


def column(kind, size, chance, nulls):
    made = pa.array(
        [None if chance.random() < nulls else chance.randint(0, 1) for _ in range(size)], pa.int64()
    )
    text = made.cast(pa.string())
    whole = {pa.string(): text, pa.date32(): made.cast(pa.int32())}.get(kind, made).cast(kind)
    room = [part and pa.allocate_buffer(part.size) for part in whole.buffers()]
    for copy, part in zip(room, whole.buffers(), strict=True):
        if part is not None:
            np.frombuffer(copy, np.uint8)[:] = np.frombuffer(part, np.uint8)
    return pa.Array.from_buffers(kind, size, room)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("nulls", [0, 0.2])
@pytest.mark.parametrize("seed", range(5))
def test_rows_are_dropped(kind, nulls, seed):
    chance = random.Random(seed)
    size = chance.choice([1, 7, 64, 1000])
    array = column(kind, size, chance, nulls)
    rows = np.array(sorted(chance.sample(range(size), chance.randint(1, min(size, 9)))), np.int64)
    expected = array.filter(pa.array(~np.isin(np.arange(size), rows))).to_pylist()
    found = dropped(array, rows)
    found.validate(full=True)
    assert found.to_pylist() == expected
    assert found.null_count == expected.count(None)


def test_rows_are_left_out_and_replaced():
    rows, others = np.array([0, 3, 4]), pa.array([10, None, 12])
    assert left_out(np.arange(5), rows).tolist() == [1, 2]
    assert replaced(pa.array([0, 1, 2, 3, 4]), rows, others).to_pylist() == [10, 1, 2, None, 12]
