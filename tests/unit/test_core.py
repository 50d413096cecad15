from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.fan_in import (
    BUCKETS,
    LIST_MERGE_BYTES,
    MERGE_BYTES,
    SLOT_BYTES,
    StateSizes,
    merge_ranges,
)
from shared.core.timings import Timings
from shared.ids import new_id
from shared.spec.types import SIMPLE, join, parse_type, widenings


@given(st.integers(0, 10 * BUCKETS * MERGE_BYTES), st.booleans(), st.integers(1, 2 * SLOT_BYTES))
def test_merge_ranges_cover_every_bucket_once(state_bytes, lists, slot_bytes):
    ranges = merge_ranges(StateSizes(state_bytes, state_bytes, lists), slot_bytes)
    most = (LIST_MERGE_BYTES if lists else MERGE_BYTES) * min(slot_bytes, SLOT_BYTES) // SLOT_BYTES

    assert [bucket for first, end in ranges for bucket in range(first, end)] == list(range(BUCKETS))
    assert len(ranges) == BUCKETS or state_bytes <= len(ranges) * most


@pytest.mark.parametrize(
    ("compressed", "decoded", "merges", "of_lists"),
    [
        (0, 0, 1, 1),
        (1.99, 3, 1, 1),
        (2, 3, 2, 2),
        (3.99, 6, 2, 2),
        (4, 6, 4, 4),
        (33, 66, 4, 8),
        (33, 600, 16, 8),
        (129, 258, 8, 32),
        (10_000, 20_000, 512, 1024),
    ],
)
def test_a_job_has_one_merge_if_it_is_small_and_some_for_several_slots_otherwise(
    compressed, decoded, merges, of_lists
):
    sizes = int(compressed * 1024**2), int(decoded * 1024**2)
    assert len(merge_ranges(StateSizes(*sizes))) == merges
    assert len(merge_ranges(StateSizes(*sizes, lists=True))) == of_lists


def test_a_merge_of_a_smaller_slot_has_fewer_states():
    states = StateSizes(100 << 20, 192 << 20)
    assert [len(merge_ranges(states, SLOT_BYTES >> shift)) for shift in (0, 1, 2)] == [4, 8, 16]
    assert len(merge_ranges(states, 2 * SLOT_BYTES)) == 4


def test_periods_shrink_together():
    assert Timings().scaled(0.1).lease == timedelta(seconds=1)


def test_ids_sort_by_time_and_are_sql_identifiers():
    ids = [new_id("job") for _ in range(100)]

    assert len(set(ids)) == 100
    assert all(len(i) == 30 and i.islower() and i.replace("_", "").isalnum() for i in ids)


@pytest.mark.parametrize("text", [*SIMPLE, "decimal(18,2)", "decimal(38,38)", "decimal(1, 0)"])
def test_a_type_survives_its_text(text):
    assert parse_type(str(parse_type(text))) == parse_type(text)


@pytest.mark.parametrize(
    "text", ["null", "decimal(39,0)", "decimal(5,6)", "decimal(0,0)", "int", "INT64", "", "decimal"]
)
def test_other_spellings_are_refused(text):
    with pytest.raises(ValueError, match="is not a type"):
        parse_type(text)


@given(st.sampled_from(SIMPLE), st.sampled_from(SIMPLE), st.sampled_from(SIMPLE))
def test_join_is_commutative_associative_and_a_widening(a, b, c):
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(a, b) in [a, *widenings(a)]
