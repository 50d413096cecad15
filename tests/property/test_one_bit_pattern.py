"""From a CSV file to the rows that Postgres copies: one digest, the same bytes, for any cuts of the work."""

import csv
import io
import math
import random
from decimal import Decimal

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shared.spec.functions import FUNCTIONS
from tests.support.work import Work

PARTS, MAX_EXAMPLES = 4, 8
"""The number of parts in which the aggregates are checked, and of examples for each.

A counterexample is small; to shrink it further would take minutes.
"""
URI = "file:///data/t.csv"
NULL = st.just("")
DOUBLES = (
    st.floats(width=64)
    | st.sampled_from([0.0, -0.0, 5e-324, 1e16, -1e16, 1e300, math.inf, math.nan])
    | st.floats(-1e3, 1e3)
)
INTS = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)
TEXTS = st.text(
    st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=4
) | st.sampled_from(["\n", '"', "a,\r\nb"])
COLUMNS = {
    "k": ("string", st.sampled_from(["a", "b", "c,d", 'e"\n'])),
    "f": ("float64", NULL | DOUBLES.map(repr)),
    "i": ("int64", NULL | INTS.map(str)),
    "m": ("decimal(30,3)", NULL | st.integers(-(10**27), 10**27).map(lambda n: f"{Decimal(n).scaleb(-3):f}")),
    "s": ("string", NULL | TEXTS),
    "b": ("bool", NULL | st.sampled_from(["true", "false"])),
    "d": ("date", NULL | st.dates().map(str)),
    "t": ("timestamp", NULL | st.datetimes().map(str)),
}
OTHERS = {"f": "i", "i": "m", "m": "f", "s": "f", "b": "i", "d": "s", "t": "b"}
"""Another column to go with each, as `by` or `x`."""


def every_aggregate():
    """Each function of every column that it takes."""
    for fn, function in FUNCTIONS.items():
        for column, other in OTHERS.items():
            beside = {"column": column, "y": column, "by": other, "x": other, "q": [0.3, 0.999], "k": 2}
            if COLUMNS[column][0].split("(")[0] in function.first_accepts.kinds:
                yield {"fn": fn, **{name: beside[name] for name in function.parameters if name in beside}}


AGGREGATES = [{"fn": "count"}, *every_aggregate()]


@st.composite
def files(draw):
    """A CSV file of up to 25 records: all or few fields quoted, either line end, perhaps no final one."""
    rows = draw(st.lists(st.tuples(*(values for _, values in COLUMNS.values())), max_size=25))
    sink, end = io.StringIO(), draw(st.sampled_from(["\n", "\r\n"]))
    csv.writer(
        sink, lineterminator=end, quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    ).writerows([tuple(COLUMNS), *rows])
    return sink.getvalue().removesuffix(draw(st.sampled_from(["", end]))).encode()


def spec(keys, aggregates, semantics):
    source = {"uris": [URI], "types": {name: kind for name, (kind, _) in COLUMNS.items()}}
    return {"source": source, "group_by": keys, "aggregates": aggregates, "semantics": semantics}


@pytest.mark.parametrize("no", range(PARTS))
def test_every_aggregate_has_one_digest_and_the_same_rows_however_its_job_is_cut(no):
    @settings(max_examples=MAX_EXAMPLES, phases=[Phase.reuse, Phase.generate])
    @given(
        files(),
        st.sampled_from([[], ["k"], ["f"], ["k", "d", "i"]]),
        st.sampled_from(["sql", "pandas"]),
        st.integers(0, 2**32),
    )
    def holds(data, keys, semantics, seed):
        asked = spec(keys, AGGREGATES[no::PARTS], semantics)
        assert Work(asked, random.Random(seed)).result(data) == Work(asked).result(data)

    holds()
