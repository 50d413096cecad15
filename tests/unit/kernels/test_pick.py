"""Rows picked by a mask are those of Arrow's filter, natively and without the library."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tests.support.native import PATHS, path
from worker_service.arrow import from_mask, from_numbers, true, validity
from worker_service.kernels.engine.take import pick

VALUES = {
    "bool": ([True, False], pa.bool_()),
    "int64": ([-(2**63), 2**63 - 1, 7], pa.int64()),
    "float64": ([0.5, float("inf"), -0.0], pa.float64()),
    "decimal": ([Decimal("-1.25"), Decimal(10**35), Decimal(0)], pa.decimal128(38, 2)),
    "date": ([dt.date(1, 1, 1), dt.date(9999, 12, 31)], pa.date32()),
    "timestamp": ([dt.datetime(2024, 2, 29, 1)], pa.timestamp("us")),  # noqa: DTZ001
    "string": (["", "a", "Zürich", "longer than sixteen bytes"], pa.utf8()),
    "small": ([1, -128], pa.int8()),
    "list": ([[1, 2], [], [3]], pa.list_(pa.int64())),
}


def column(kind, rows, nulls, chance):
    values, of = VALUES[kind]
    found = [values[at] for at in chance.integers(0, len(values), rows)]
    return pa.array(
        [
            None if nulls and lost < 0.3 else value
            for value, lost in zip(found, chance.random(rows), strict=True)
        ],
        of,
    )


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("kind", VALUES)
def test_the_rows_are_those_of_a_filter(kind, nulls, setting):
    chance = np.random.default_rng(5)
    arrays = [column(kind, rows, nulls, chance) for rows in (0, 1, 9, 1003)]
    arrays += [
        arrays[-1].slice(13, 500),
        arrays[-1].slice(1003),
        *([arrays[-1].slice(8).dictionary_encode()] if kind == "string" else []),
    ]
    for array in arrays:
        for share in (0.0, 0.5, 1.0):
            kept = chance.random(len(array)) < share
            with path(setting):
                found = pick(array, kept, int(kept.sum()))
            found.validate(full=True)
            assert found.equals(array.filter(pa.array(kept)))


@pytest.mark.parametrize("start", [0, 3, 8, 21])
def test_masks_are_those_of_python(start):
    values = [None if i % 7 == 3 else i % 3 == 0 for i in range(50)]
    array = pa.array(values).slice(start)
    assert true(array).tolist() == [value is True for value in values[start:]]
    assert validity(array).tolist() == [value is not None for value in values[start:]]
    assert from_mask(true(array)).to_pylist() == [value is True for value in values[start:]]
    again = from_numbers(pa.bool_(), true(array), validity(array))
    assert again.to_pylist() == values[start:]
    assert validity(array.slice(50)) is None
    assert validity(pa.nulls(9)).tolist() == [False] * 9
    assert true(pa.nulls(9, pa.bool_())).tolist() == [False] * 9
    indices = pa.array([0, None, 1]).cast(pa.int32())
    assert validity(pa.DictionaryArray.from_arrays(indices, ["a", "b"])).tolist() == [True, False, True]
