"""top and bottom: against sorting with Python."""

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest

from shared.errors import FatalError
from tests.unit.kernels.queries import only, query, rows
from tests.unit.kernels.test_picks import random_frame
from worker_service.kernels import combine, finalize, partial


def order(value):
    """NaN above all numbers, strings by their bytes."""
    if isinstance(value, str):
        return value.encode()
    return (math.isnan(value), value) if isinstance(value, float) else value


@pytest.mark.parametrize("column", ["i", "f", "s", "b"])
@pytest.mark.parametrize("k", [1, 3, 1000])
def test_a_group_has_its_k_largest_and_smallest_values_as_often_as_they_occur(column, k):
    frame = random_frame()
    found = rows(frame, ["g"], [f"top {column} {k}", f"bottom {column} {k}"])
    groups = {}
    for key, value in zip(frame["g"].to_pylist(), frame[column].to_pylist(), strict=True):
        groups.setdefault(key, []).extend([] if value is None else [value])
    assert found.keys() == groups.keys()
    for key, values in groups.items():
        ranked = sorted(values, key=order)
        expected = [ranked[::-1][:k] or None, ranked[:k] or None]
        assert repr(list(found[key].values())) == repr(expected)


def test_in_pandas_nan_is_missing():
    frame = random_frame()
    found = rows(frame, ["g"], ["top f 4"], "pandas")
    grouped = frame.to_pandas().groupby("g")["f"]
    expected = {key: values.dropna().nlargest(4).tolist() or None for key, values in grouped}
    assert {key: row["top f 4"] for key, row in found.items()} == expected


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([Decimal(10**37), Decimal(-1), Decimal(10**37 + 1)], pa.decimal128(38, 0)),
        ([dt.date(2024, 1, 2), dt.date(1901, 12, 31), dt.date(2050, 6, 1)], pa.date32()),
        (
            [dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.datetime(1999, 1, 1, tzinfo=dt.UTC)],
            pa.timestamp("us", tz="UTC"),
        ),
    ],
)
def test_every_type_is_taken(values, kind):
    found = only(pa.array([*values, None], kind), ["top x 2", "bottom x 2"])
    assert list(found.values()) == [sorted(values)[::-1][:2], sorted(values)[:2]]


def test_the_state_holds_no_more_than_k_values_of_a_group():
    frame = pa.table({"x": list(range(1000))})
    asked = query(frame, [], ["top x 3"])
    states = combine([partial(frame, asked), partial(frame, asked)], asked)
    (column,) = (states[name] for name in states.column_names if ".top" in name)
    assert column.to_pylist() == [[999, 999, 998]]


def test_the_two_ends_and_other_k_do_not_disturb_each_other():
    frame = pa.table({"x": [5, 1, 3]})
    assert only(frame["x"], ["top x 1", "top x 2", "bottom x 1", "nunique x"]) == {
        "top x 1": [5],
        "top x 2": [5, 3],
        "bottom x 1": [1],
        "nunique x": 3,
    }


def test_a_text_with_nul_inside_an_array_is_refused():
    frame = pa.table({"x": ["a\0"]})
    asked = query(frame, [], ["top x 1"])
    with pytest.raises(FatalError, match="NUL"):
        finalize(combine([partial(frame, asked)], asked), asked)


def test_no_rows_make_no_arrays():
    frame = pa.table({"g": pa.array([], pa.int64()), "x": pa.array([], pa.float64())})
    for keys, expected in ((["g"], []), ([], [{"top x 2": None}])):
        asked = query(frame, keys, ["top x 2"])
        result = finalize(combine([], asked), asked)
        assert result.table.select(["top x 2"]).to_pylist() == expected
        assert result.table.schema.field("top x 2").type == pa.list_(pa.float64())
