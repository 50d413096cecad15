"""However the rows are cut and the states combined, the result is the same bytes."""

import datetime as dt
import math
import random
import sys
from decimal import Context, Decimal
from fractions import Fraction
from itertools import pairwise

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.spec.functions import FUNCTIONS
from tests.unit.kernels.queries import exact_var, nearest, query, rows
from worker_service.kernels import (
    KERNELS,
    Fold,
    PendingStates,
    combine,
    decode,
    encode,
    finalize,
    in_buckets,
    partial,
    rows_in,
)
from worker_service.kernels.aggregates.declaration import row_ordinal

EXACT = Context(prec=60)
DOUBLES = st.one_of(
    st.floats(width=64),
    st.sampled_from(
        [
            0.0,
            -0.0,
            5e-324,
            2.2250738585072014e-308,
            1e16,
            -1e16,
            1.0,
            1e300,
            -1e300,
            math.inf,
            -math.inf,
            math.nan,
        ]
    ),
    st.floats(-1e3, 1e3).map(lambda x: round(x, 3)),
    st.floats(-1, 1).map(lambda x: 1e9 + x),
)
INTS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-5, 5),
    st.sampled_from([2**63 - 1, -(2**63), 2**31, -(2**31) - 1]),
)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3)
COLUMNS = {
    "k": (st.none() | st.sampled_from(["a", "b", "", "é"]), pa.utf8()),
    "j": (st.none() | st.sampled_from([0.0, -0.0, 1.5, math.nan]), pa.float64()),
    "f": (st.none() | DOUBLES, pa.float64()),
    "i": (st.none() | INTS, pa.int64()),
    "m": (
        st.none() | st.integers(-(10**18) + 1, 10**18 - 1).map(lambda n: Decimal(n).scaleb(-3)),
        pa.decimal128(18, 3),
    ),
    "s": (st.none() | TEXTS, pa.utf8()),
    "d": (st.none() | st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)), pa.date32()),
    "b": (st.none() | st.booleans(), pa.bool_()),
    "w": (
        st.none() | st.integers(-(10**36), 10**36).map(lambda n: Decimal(n).scaleb(-9, EXACT)),
        pa.decimal128(37, 9),
    ),
}


def takes(fn, kind):
    names = {"bool": "bool", "int64": "int64", "double": "float64", "string": "string", "date32[day]": "date"}
    return names.get(str(kind), "decimal") in FUNCTIONS[fn].first_accepts.kinds


OTHERS = {"f": "i", "i": "m", "m": "w", "w": "f", "s": "f", "d": "s", "b": "i"}
"""Another column to go with each, as `by` or `x`."""


def spelled(fn, column):
    """The aggregate of *column* with all other fields that it needs."""
    given = {
        "column": column,
        "y": column,
        "by": OTHERS[column],
        "x": OTHERS[column],
        "ddof": "0",
        "q": "0.3",
        "k": "2",
    }
    return " ".join([fn, *(given[parameter] for parameter in FUNCTIONS[fn].parameters)])


AGGREGATES = ["count", "std f 1", "quantile i 0.999"] + [
    spelled(fn, column)
    for fn in KERNELS
    for column, (_, kind) in COLUMNS.items()
    if takes(fn, kind) and column in OTHERS
]
SOME = st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=8, unique=True)
KEYS = st.sampled_from([[], ["k"], ["j"], ["k", "j"], ["d", "i", "k"]])
SEMANTICS = st.sampled_from(["sql", "pandas"])


@st.composite
def frames(draw, max_size=40):
    size = draw(st.integers(0, max_size))
    columns = {
        name: pa.array(draw(st.lists(values, min_size=size, max_size=size)), kind)
        for name, (values, kind) in COLUMNS.items()
    }
    return pa.table(
        {
            name: array.dictionary_encode() if name in "ks" and draw(st.booleans()) else array
            for name, array in columns.items()
        }
    )


def cut(frame, rows_at):
    bounds = [0, *sorted(row % (frame.num_rows + 1) for row in rows_at), frame.num_rows]
    return [frame.slice(start, stop - start) for start, stop in pairwise(bounds)]


def combine_at_random(states, asked, choice):
    """Any tree, any order."""
    states = list(states)
    while len(states) > 1:
        choice.shuffle(states)
        taken = choice.randint(2, len(states))
        states = [combine(states[:taken], asked), *states[taken:]]
    return combine(states, asked)


def outcome(states, asked):
    """All that a user or another worker can see, with NaN and the signs of zeros."""
    result = finalize(states, asked)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, result.table.schema) as writer:
        writer.write_table(result.table.combine_chunks())
    return sink.getvalue().to_pybytes(), result.buckets, result.ids.tolist(), result.widened


@settings(max_examples=100, deadline=None)
@given(frames(), KEYS, SEMANTICS, SOME, st.lists(st.integers(0, 1000), max_size=6), st.integers(0, 2**32))
def test_chunked_is_whole_bit_for_bit_in_any_order_and_any_tree(
    frame, keys, semantics, aggregates, cuts, seed
):
    asked, choice = query(frame, keys, aggregates, semantics), random.Random(seed)
    whole = outcome(combine([partial(frame, asked)], asked), asked)
    chunks = [partial(part, asked, row_ordinal(no, 0)) for no, part in enumerate(cut(frame, cuts))]
    assert outcome(combine_at_random(chunks, asked, choice), asked) == whole
    stored = [
        decode(encoded.data)
        for chunk in chunks
        for encoded in encode(chunk, asked, choice.choice([1, 500, 1 << 20]))
    ]
    if stored or keys:
        assert outcome(combine_at_random(stored or chunks, asked, choice), asked) == whole
    pending = PendingStates(asked, choice.randint(0, 10), 1.5, choice.choice([0, 300, sys.maxsize]))
    for states in choice.sample(stored or chunks, len(stored or chunks)):
        pending.add(states)
    if stored or keys:
        assert outcome(pending.combined(), asked) == whole
    fold = Fold(asked, 5)
    for part in cut(frame, cuts):
        fold.add(part)
    assert outcome(fold.finish(), asked) == whole
    assert rows_in(fold.finish()) + fold.rows_dropped_null_key == frame.num_rows


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_any_finite_doubles_give_the_exact_sum_mean_and_variance_rounded_once(values):
    found = rows(pa.table({"x": values}), [], ["sum x", "mean x", "var x 0"])[None]
    exact = sum(map(Fraction, values))
    assert found == {
        "sum x": nearest(exact),
        "mean x": nearest(exact / len(values)),
        "var x 0": nearest(exact_var(values, 0)),
    }


def test_a_large_dataset_cut_into_hundreds_of_chunks_is_whole():
    choice = random.Random(7)
    values = [choice.gauss(0, 1) * 10.0 ** choice.randint(-12, 12) for _ in range(20_000)]
    frame = pa.table(
        {
            "k": [choice.choice("abcdefgh") for _ in values],
            "x": values,
            "y": [round(value) for value in values],
        }
    )
    asked = query(frame, ["k"], ["sum x", "sem x", "corr x y", "median x", "nunique y", "last y"])
    parts = [
        partial(part, asked, row_ordinal(no, 0))
        for no, part in enumerate(cut(frame, [choice.randrange(20_000) for _ in range(300)]))
    ]
    assert outcome(combine_at_random(parts, asked, choice), asked) == outcome(
        combine([partial(frame, asked)], asked), asked
    )


@settings(max_examples=40, deadline=None)
@given(
    frames(),
    st.lists(st.integers(0, 100), max_size=4),
    st.lists(st.booleans(), min_size=6, max_size=6),
    KEYS,
    SEMANTICS,
    SOME,
)
def test_a_fold_that_is_flushed_now_and_then_is_whole(frame, cuts, flushed, keys, semantics, aggregates):
    asked = query(frame, keys, aggregates, semantics)
    fold, states = Fold(asked), []
    for part, flush in zip(cut(frame, cuts), flushed, strict=False):
        fold.add(part)
        if flush:
            states.append(fold.flush())

    states.append(fold.flush())
    assert outcome(combine(states, asked), asked) == outcome(partial(frame, asked), asked)
    assert sum(map(rows_in, states)) + fold.rows_dropped_null_key == frame.num_rows


@settings(max_examples=40, deadline=None)
@given(
    frames(),
    st.lists(st.integers(0, 1024), max_size=3),
    st.sampled_from([["k"], ["j"], ["d", "i", "k"]]),
    SOME,
)
def test_the_ranges_of_buckets_together_hold_every_group_once(frame, cuts, keys, aggregates):
    asked = query(frame, keys, aggregates)
    states = combine([partial(frame, asked)], asked)
    bounds = [0, *sorted(cuts), 1024]

    whole = finalize(states, asked)
    parts = [finalize(in_buckets(states, asked, first, end), asked) for first, end in pairwise(bounds)]
    assert {bucket: digest for part in parts for bucket, digest in part.buckets.items()} == whole.buckets
    assert sorted(i for part in parts for i in part.ids.tolist()) == sorted(whole.ids.tolist())
