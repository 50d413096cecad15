# ruff: noqa: DTZ001  (naive timestamps are tested)
import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shared.errors import FatalError, GroupKeyTooLong, GroupLimitExceeded
from shared.spec.functions import FUNCTIONS
from shared.spec.query import Aggregate
from shared.spec.types import FLOAT64
from tests.unit.kernels.queries import only, query, rows
from worker_service.kernels import KERNELS, Fold, combine, finalize, partial, rows_in

FRAME = pa.table(
    {
        "s": pa.array(["b", None, "a", "", "b", None]).dictionary_encode(),
        "i": pa.array([1, 2, None, None, 5, 6]),
        "f": pa.array([1.5, math.nan, None, None, -0.0, 2.5]),
    }
)


def test_in_sql_null_keys_form_a_group_and_sums_of_nothing_are_null():
    assert rows(FRAME, ["s"], ["count", "count i", "sum i", "mean i", "min i", "sum f", "max f"]) == {
        "b": {"count": 2, "count i": 2, "sum i": 6, "mean i": 3.0, "min i": 1, "sum f": 1.5, "max f": 1.5},
        "a": {
            "count": 1,
            "count i": 0,
            "sum i": None,
            "mean i": None,
            "min i": None,
            "sum f": None,
            "max f": None,
        },
        "": {
            "count": 1,
            "count i": 0,
            "sum i": None,
            "mean i": None,
            "min i": None,
            "sum f": None,
            "max f": None,
        },
        None: {"count": 2, "count i": 2, "sum i": 8, "mean i": 4.0, "min i": 2, "sum f": NAN, "max f": NAN},
    }


class _Nan:
    def __eq__(self, other):
        return isinstance(other, float) and math.isnan(other)

    __hash__ = None


NAN = _Nan()


@pytest.mark.parametrize("key", [["s"], ["f"], ["s", "f"], ["i", "s"]])
def test_pandas_semantics_give_the_results_of_pandas(key):
    found = rows(
        FRAME, key, ["count", "count f", "sum i", "sum f", "mean f", "min f", "max i", "var f 0"], "pandas"
    )
    frame = FRAME.to_pandas()
    grouped = frame.assign(s=frame["s"].astype(object)).groupby(key)
    expected = grouped.agg(
        count=("i", "size"),
        n=("f", "count"),
        i=("i", "sum"),
        f=("f", "sum"),
        mean=("f", "mean"),
        least=("f", "min"),
        most=("i", "max"),
    )
    expected = expected.assign(var=grouped["f"].var(ddof=0)).astype(object)
    expected = {
        k: [None if pd.isna(v) else v for v in row]
        for k, row in zip(expected.index, expected.to_numpy(), strict=True)
    }
    assert {k: list(row.values()) for k, row in found.items()} == expected


def test_rows_with_a_missing_key_are_dropped_and_counted_under_pandas_semantics():
    for semantics, dropped in (("sql", 0), ("pandas", 4)):
        fold = Fold(query(FRAME, ["s", "f"], ["count"], semantics))
        fold.add(FRAME)
        assert (rows_in(fold.finish()), fold.rows_dropped_null_key) == (6 - dropped, dropped)


def test_float_keys_have_one_zero_and_in_sql_one_nan():
    other_nan = np.frombuffer(np.array([0xFFF8000000000123], "<u8").tobytes(), "<f8")[0]
    frame = pa.table({"f": pa.array([0.0, -0.0, math.nan, other_nan, None, 1.0])})
    asked = query(frame, ["f"], ["count"])
    table = finalize(
        combine([partial(frame.slice(0, 2), asked), partial(frame.slice(2), asked)], asked), asked
    ).table
    assert sorted(map(repr, zip(*table.to_pydict().values(), strict=True))) == [
        "(0.0, 2)",
        "(1.0, 1)",
        "(None, 1)",
        "(nan, 2)",
    ]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["é", "z", "", "Z", "ab", "a"], pa.utf8()),
        ([True, False, True], pa.bool_()),
        ([dt.date(2024, 1, 2), dt.date(1901, 12, 31), dt.date(2050, 6, 1)], pa.date32()),
        ([dt.datetime(2024, 1, 2, 3, 4, 5, 6), dt.datetime(1899, 1, 1)], pa.timestamp("us")),
        (
            [dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.datetime(1999, 1, 1, tzinfo=dt.UTC)],
            pa.timestamp("us", tz="UTC"),
        ),
        ([Decimal("-1.50"), Decimal("0.01"), Decimal("123456789012345.67")], pa.decimal128(17, 2)),
        ([2.5, -1e300, -0.5, 1e-310], pa.float64()),
        ([-5, 2**62, -(2**63)], pa.int64()),
    ],
)
def test_min_max_and_count_of_every_type_are_those_of_python(values, kind):
    by_bytes = (lambda text: text.encode()) if kind == pa.utf8() else None
    expected = {
        "min x": min(values, key=by_bytes),
        "max x": max(values, key=by_bytes),
        "count x": len(values),
    }
    array = pa.array([*values, None], kind)
    assert only(array, list(expected)) == expected
    if kind == pa.utf8():
        assert only(array.dictionary_encode(), list(expected)) == expected


def test_strings_group_alike_whether_plain_dictionary_or_in_chunks_with_other_dictionaries():
    texts = ["x", None, "yy", "x", "", "yy"]
    expected = {"x": {"sum n": 3}, None: {"sum n": 1}, "yy": {"sum n": 7}, "": {"sum n": 4}}
    chunks = pa.chunked_array(
        [pa.array(texts[:2]).dictionary_encode(), pa.array(texts[2:]).dictionary_encode()]
    )
    with_null = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 0, 3, 2]), pa.array(["x", None, "yy", ""]))
    repeated = pa.DictionaryArray.from_arrays(pa.array([0, None, 1, 2, 3, 1]), pa.array(["x", "yy", "x", ""]))
    sliced = pa.concat_arrays([pa.array(["no"]), pa.array(texts)]).slice(1)
    for column in (pa.array(texts), chunks, with_null, repeated, sliced, sliced.dictionary_encode()):
        assert rows(pa.table({"s": column, "n": [0, 1, 2, 3, 4, 5]}), ["s"], ["sum n"]) == expected


def test_many_wide_keys_group_as_pandas_groups_them():
    r = np.random.default_rng(3)
    # 4,096 values in each of six keys make 2**72 combinations; rows whose first keys differ by 2048 are equal
    # modulo 2**64
    columns = {f"k{i}": np.tile(np.append(r.integers(0, 2048, 2046), [0, 4095]), 4) for i in range(6)}
    columns["k0"] = (columns["k0"] + np.repeat([0, 2048, 0, 2048], 2048)) % 4096
    columns["x"] = r.integers(0, 10, 8192)
    keys = [name for name in columns if name != "x"]
    expected = pd.DataFrame(columns).groupby(keys)["x"].sum()
    assert len(expected) == 4096
    assert {
        key: row["sum x"] for key, row in rows(pa.table(columns), keys, ["sum x"]).items()
    } == expected.to_dict()


def test_sparse_and_fractional_numbers_group_as_pandas_groups_them():
    r = np.random.default_rng(3)
    columns = {
        "a": r.integers(-9, 9, 5000) * (2**59 + 1),
        "b": r.integers(0, 9, 5000) / 7,
        "x": r.integers(0, 10, 5000),
    }
    found = rows(pa.table(columns), ["a", "b"], ["sum x"])
    assert {key: row["sum x"] for key, row in found.items()} == pd.DataFrame(columns).groupby(["a", "b"])[
        "x"
    ].sum().to_dict()


def test_a_key_may_be_a_decimal_of_any_precision_or_a_date_or_a_boolean():
    keys = {
        "m": pa.array([Decimal(10**30), Decimal(10**30 + 1), None, Decimal(10**30)], pa.decimal128(38, 0)),
        "d": pa.array([dt.date(2000, 1, 1)] * 4),
        "b": pa.array([True, False, True, True]),
    }
    found = rows(pa.table(keys), ["m", "d", "b"], ["count"])
    day = dt.date(2000, 1, 1)
    expected = {(Decimal(10**30), day, True): 2, (Decimal(10**30 + 1), day, False): 1, (None, day, True): 1}
    assert {key: row["count"] for key, row in found.items()} == expected


@pytest.mark.parametrize(("semantics", "total"), [("sql", None), ("pandas", 0)])
def test_without_keys_an_empty_dataset_gives_one_row_and_with_keys_none(semantics, total):
    frame = FRAME.slice(0, 0)
    for states in ([], [frame], [frame, frame]):
        asked = query(frame, [], ["count", "sum i", "mean i", "min s", "std f"], semantics)
        table = finalize(combine([partial(part, asked) for part in states], asked), asked).table
        assert [list(row.values()) for row in table.to_pylist()] == [[0, total, None, None, None]]
        asked = query(frame, ["s", "f"], ["count", "sum i", "max s"], semantics)
        result = finalize(combine([partial(part, asked) for part in states], asked), asked)
        assert (result.table.num_rows, len(result.ids), result.buckets) == (0, 0, {})
        assert result.table.schema.types == [pa.utf8(), pa.float64(), pa.int64(), pa.int64(), pa.utf8()]


def test_a_frame_without_columns_still_counts_its_rows():
    frame = pa.table({"": pa.array([False] * 5)})
    assert rows(frame, [], ["count"])[None] == {"count": 5}


@pytest.mark.parametrize("ddof", [0, 1, 2, 3])
def test_a_variance_of_no_more_values_than_ddof_is_null(ddof):
    found = only(pa.array([1.0, None, 4.0]), [f"var x {ddof}", f"std x {ddof}"])
    assert [value is None for value in found.values()] == [ddof >= 2] * 2


def test_aggregates_of_one_column_share_their_states():
    asked = query(FRAME, ["s"], ["count", "mean f", "sum f", "std f", "sum i"])
    names = {name.split("_")[0] for name in partial(FRAME, asked).column_names}
    assert names == {"k0", "rows", "a1.n", "a1.s", "a1.q", "a4.n", "a4.s"}


def test_every_function_has_a_kernel_of_its_name():
    assert set(KERNELS) == set(FUNCTIONS)
    assert all(name == kernel.name for name, kernel in KERNELS.items())


def test_the_functions_whose_states_hold_lists_say_so():
    for name, function in FUNCTIONS.items():
        some = Aggregate(fn=name, name="", inputs=(), result=FLOAT64)
        columns = [dtype for state in KERNELS[name].states(some) for dtype in state.columns.values()]
        assert function.lists == any(dtype.startswith("list") for dtype in columns), name


@pytest.mark.parametrize(
    ("column", "by", "types"), [("f", "i", ("double", "int64")), ("i", "f", ("int64", "double"))]
)
@pytest.mark.parametrize("name", KERNELS)
def test_states_have_the_columns_and_types_that_their_declarations_say(name, column, by, types):
    given = {"column": column, "y": column, "by": by, "x": by, "k": "1", "q": "0.5"}
    words = [given[parameter] for parameter in FUNCTIONS[name].parameters if parameter in given]
    asked = query(FRAME, ["s"], [" ".join([name, *words])])
    schema = combine([partial(FRAME, asked)], asked).schema
    own, second = types
    states = KERNELS[name].states(asked.aggregates[0])
    for state in states:
        for field in schema:
            start, _, suffix = field.name.partition(".")[2].partition("_")
            if start == state.name:
                declared = state.columns[suffix] if suffix in state.columns else state.columns["<j>"]
                assert str(field.type) == declared.replace("own", own).replace("by", second)
                assert suffix in state.columns or int(suffix) < 40
    assert {field.name.partition(".")[2].partition("_")[0] for field in schema} - {""} == {
        state.name for state in states
    }


def test_too_many_groups_are_refused():
    frame = pa.table({"i": list(range(11))})
    fold = Fold(query(frame, ["i"], ["count"], max_groups=10))
    fold.add(frame.slice(0, 10))
    assert fold.finish().num_rows == 10
    fold.add(frame.slice(10))
    with pytest.raises(GroupLimitExceeded, match="more than 10 groups"):
        fold.finish()


def test_keys_that_no_index_can_hold_are_refused():
    frame = pa.table({"a": ["x" * 1300, "x" * 1301], "b": ["é" * 650] * 2})
    asked = query(frame, ["a", "b"], ["count"])
    assert partial(frame.slice(0, 1), asked).num_rows == 1
    with pytest.raises(GroupKeyTooLong, match="2601 bytes"):
        partial(frame, asked)


@pytest.mark.parametrize("aggregates", [["count"], ["max t"]])
def test_a_text_with_nul_is_refused_where_it_would_be_stored(aggregates):
    frame = pa.table({"s": ["a\0b" if aggregates == ["count"] else "ab"], "t": ["a\0"]})
    asked = query(frame, ["s"], aggregates)
    with pytest.raises(FatalError, match="NUL"):
        finalize(combine([partial(frame, asked)], asked), asked)
