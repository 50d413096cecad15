"""Estimates of a dry run, compared with pandas over data that the estimators do not see whole."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.look import Estimate, estimated_groups, estimated_rows, estimated_seconds

ROWS = 20_000


def rows(value, accuracy="estimate"):
    return Estimate(value=value, accuracy=accuracy, method="")


def test_known_rows_are_exact():
    assert estimated_rows(7, 3, 100.0, 2, 20) == Estimate(value=7, accuracy="exact", method="counted")


def test_rows_are_extrapolated_by_bytes():
    assert estimated_rows(None, 101, 5000.0, 100, 1000).value == 500


def test_rows_without_bytes_are_a_lower_bound():
    found = estimated_rows(None, 101, None, 0, 0)
    assert (found.value, found.accuracy) == (101, "lower_bound")


@pytest.mark.parametrize("distinct", [1, 2, 40, 1000, 15_000])
def test_groups_are_estimated_from_a_tenth_of_the_rows(distinct):
    column = pd.Series(range(ROWS)).sample(frac=1, random_state=distinct) % distinct
    counts = column.head(ROWS // 10).value_counts()
    found = estimated_groups(rows(ROWS), ROWS // 10, ROWS // 10, len(counts), int((counts == 1).sum()))

    assert found.accuracy == "estimate"
    assert 0.4 * column.nunique() <= found.value <= 2.5 * column.nunique()


def test_unique_keys_are_as_many_groups_as_rows():
    assert estimated_groups(rows(ROWS), 100, 100, 100, 100).value == ROWS
    assert estimated_groups(rows(ROWS), 100, 50, 50, 50).value == ROWS // 2


def test_groups_of_rows_that_are_not_known_are_a_lower_bound():
    found = estimated_groups(rows(100, "lower_bound"), 100, 100, 30, 10)
    assert (found.value, found.accuracy) == (30, "lower_bound")


@given(st.lists(st.integers(1, 50), min_size=1, max_size=50), st.integers(0, 10_000), st.integers(0, 100))
def test_groups_lie_between_those_of_the_sample_and_the_rows(counts, unseen, filtered):
    sampled = sum(counts)
    read = sampled + filtered
    found = estimated_groups(rows(read + unseen), read, sampled, len(counts), counts.count(1))
    assert len(counts) <= found.value <= read + unseen


@given(
    st.integers(0, 10**14),
    st.lists(st.tuples(st.integers(0, 10**12), st.floats(0, 1e6)), max_size=20),
)
def test_seconds_lie_in_their_range(size, recent):
    found = estimated_seconds(size, recent)
    assert 0 <= found.low <= found.value <= found.high


def test_seconds_come_from_recent_jobs():
    recent = [(100 << 20, 1.0), (200 << 20, 1.0), (300 << 20, 1.0), (1000, 0.25)]
    found = estimated_seconds(400 << 20, recent)
    assert (found.value, found.low, found.high) == (2.25, 1.58, 4.25)
    assert found.method == "3 recent jobs of this format"
    assert estimated_seconds(10, recent).method == "1 recent jobs of this format"
    assert estimated_seconds(10, []).method == "assumed: no recent job of this format"
