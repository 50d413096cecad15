"""Tables of keys, against dictionaries of Python."""

import random
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tests.support.native import path
from worker_service.kernels.group_tables import GroupTable
from worker_service.kernels.grouping import group
from worker_service.kernels.key_tables import KeyTable
from worker_service.kernels.number_tables import MOST_PLACES
from worker_service.native import library


def codes_of(seen, rows):
    """What a table must give: dense codes in the order of first occurrence."""
    return [seen.setdefault(row, len(seen)) for row in rows]


def check(frames, table=None, seen=None):
    """*frames* are lists of key columns; the codes of all frames are one numbering."""
    with path("require"):
        table = table or GroupTable(library(), frames[0])
        seen = {} if seen is None else seen
        for keys in frames:
            before, rows = len(seen), list(zip(*(key.to_pylist() for key in keys), strict=True))
            codes, firsts = table.add(keys)
            assert codes_of(seen, rows) == codes.tolist() or same_groups(codes.tolist(), rows, seen)
            assert len(table) == len(seen)
            assert len(firsts) == len(seen) - before
            assert [codes[row] for row in firsts] == list(range(before, len(seen)))
    return table, seen


def same_groups(codes, rows, seen):
    """A dictionary's values get their codes in the order of the dictionary."""
    pairs = set(zip(codes, rows, strict=True))
    assert len(pairs) == len(set(rows)) == len(set(codes))
    for code, row in pairs:
        seen[row] = code
    return True


def texts(choice, size, alphabet="ab\0é"):
    lengths = [0, 1, 7, 8, 9, 14, 15, 16, 17, 31, 32, 33, 300]
    return ["".join(choice.choices(alphabet, k=choice.choice(lengths))) for _ in range(size)]


@pytest.mark.parametrize("nulls", [False, True])
def test_strings_of_any_length_are_one_key_only_if_they_are_equal(nulls):
    choice = random.Random(1)
    pool = texts(choice, 3000)
    frames = [
        [pa.array([None if nulls and choice.random() < 0.1 else choice.choice(pool) for _ in range(2000)])]
        for _ in range(4)
    ]
    check(frames)


def test_a_prefix_a_padded_string_and_a_cut_one_are_three_keys():
    base = "0123456789abcdef"
    values = [base[:n] + "\0" * zeros for n in range(17) for zeros in range(3)]
    check([[pa.array(values * 3)]])


def test_slices_of_columns_have_their_own_nulls_and_offsets():
    column = pa.array(["a", None, "bb", "a", None, "c" * 20, "bb"] * 50)
    check([[column.slice(start, 90)] for start in (0, 1, 3, 13, 250)])
    numbers = pa.array([1, None, 2, 1, None, -(2**63), 2**63 - 1] * 50)
    check([[numbers.slice(start, 90)] for start in (0, 1, 3, 13, 250)])


def test_the_last_string_may_end_where_the_buffer_ends():
    data = b"abcdefgh" + b"xy"
    offsets = np.array([0, 8, 8, 10], np.int32)
    column = pa.Array.from_buffers(pa.utf8(), 3, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    check([[column]])


@pytest.mark.parametrize("rows", [1, 127, 128, 129, 384, 1000])
@pytest.mark.parametrize("rare", ["", "long" * 5, "of 16 octets. ok", None])
def test_runs_of_short_strings_and_others(rows, rare):
    """The library has a quicker way for 128 short strings in a row; the buffers end with the last string."""
    choice, pool = random.Random(rows), [f"id{no:010}"[-no % 13 :] for no in range(700)]
    values = [choice.choice(pool) for _ in range(rows)]
    values[choice.randrange(rows)] = rare
    column = pa.array(values, pa.utf8())
    tight = [buffer and pa.py_buffer(buffer.to_pybytes()) for buffer in column.buffers()]
    tight[2] = tight[2].slice(0, sum(len(value or "") for value in values))
    check([[pa.Array.from_buffers(pa.utf8(), rows, tight)], [column.slice(rows // 3)]])


def test_dictionaries_that_change_from_frame_to_frame():
    frames = [
        [pa.DictionaryArray.from_arrays(pa.array(indices, kind), pa.array(values))]
        for indices, values, kind in [
            ([0, 1, 0, None], ["a", "b", "unused"], pa.int8()),
            ([2, 1, 0], ["c", "b", "a"], pa.int32()),
            ([None, None], ["z"], pa.uint16()),
            ([0, 0, 1], ["long" * 9, "b"], pa.int64()),
            ([0, 1, 1], ["same", "same"], pa.int32()),
        ]
    ]
    table, seen = check(frames)
    check([[pa.array(["a", "long" * 9, None, "new", "same"])]], table, seen)


def test_many_keys_grow_the_table():
    numbers = np.random.default_rng(3).permutation(np.arange(300_000) * 2**40)
    with path("require"):
        table = KeyTable(library(), 1)
        for part in np.array_split(numbers, 7):
            table.add(pa.array(part))
        codes, firsts = table.add(pa.array(numbers))
        assert not len(firsts)
        assert (codes == np.arange(len(numbers))).all()


@pytest.mark.parametrize(
    "ranges",
    [
        [(0, 100), (50, 200), (-300, 0)],
        [(7, 7), (8, 8), (6, 6)],
        [(0, 900), (MOST_PLACES - 900, MOST_PLACES - 1), (0, MOST_PLACES)],
        [(5, MOST_PLACES + 4), (5, 700), (4, 4)],
        [(-(2**63), -(2**63) + 500), (-(2**63) + 400, -(2**63) + 9000), (2**63 - 500, 2**63 - 1)],
        [(2**63 - 500, 2**63 - 1), (2**63 - 9000, 2**63 - 1), (-(2**63), 2**63 - 1)],
        [(-(2**63), 2**63 - 1), (0, 5)],
    ],
)
@pytest.mark.parametrize("null", [0, 1, 2, 9])
def test_numbers_close_together_and_others_are_one_numbering(ranges, null):
    """Frames of numbers from one range each, then all of them; some of frame *null* are missing."""
    choice, frames = random.Random(str(ranges)), []
    for no, (least, most) in enumerate([*ranges, *ranges]):
        numbers = [least, *(choice.randint(least, most) for _ in range(300)), most]
        if no == null:
            numbers[choice.randrange(300)] = None
        frames += [[pa.array(numbers, pa.int64())], [pa.array([], pa.int64())]]
    table, _ = check(frames)
    assert table.nbytes <= 9 * MOST_PLACES


def fold64(a, b):
    product = a * b
    return (product ^ product >> 64) & (2**64 - 1)


def test_keys_whose_hashes_share_their_upper_half_stay_apart():
    """The tag of a slot is the upper half of the hash: as in source/groups.c, for a width of 1."""
    k0, k1, step = 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x9E3779B97F4A7C15
    found, rng = {}, random.Random(5)
    pairs = []
    while len(pairs) < 3:
        word = rng.getrandbits(63)
        tag = fold64(word ^ k0 ^ k1, step) >> 32
        if tag in found and found[tag] != word:
            pairs.append([found[tag], word])
        found[tag] = word
    check([[pa.array([word for pair in pairs for word in pair] * 3)]])


@pytest.mark.parametrize("width", [2, 3, 4, 6])
def test_combinations_of_keys(width):
    choice, frames = random.Random(width), []
    for spread in (2, 5, 60, 100_000):
        frames.append(
            [
                pa.array([choice.choice([None, choice.randrange(spread) * 3**28]) for _ in range(700)])
                if j % 2
                else pa.array([str(choice.randrange(spread)) for _ in range(700)])
                for j in range(width)
            ]
        )
    check([*frames, *frames])


def test_wide_decimals_bools_and_doubles():
    numbers = [Decimal(2**64), Decimal(1), Decimal(-(2**64)), Decimal(0), None, Decimal(10) ** 37] * 3
    column = pa.array(numbers, pa.decimal128(38, 0))
    check([[column], [column.slice(5)]])
    check([[pa.array([True, None, False] * 5), pa.array([0.5, 1.5, None] * 5)]])
    with path("require"):
        codes, _ = GroupTable(library(), [pa.array([0.5])]).add(
            [pa.array([0.0, -0.0, float("nan"), -float("nan")])]
        )
        assert codes.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("setting", ["require", "off"])
def test_group_is_the_same_partition_with_and_without_the_library(setting):
    choice = random.Random(8)
    columns = [
        pa.array([choice.choice([None, *texts(choice, 3)]) for _ in range(500)]),
        pa.array([choice.choice([None, 2**62, -5, 0]) for _ in range(500)]),
        pa.array(
            [choice.choice([None, Decimal(7) ** 40, Decimal(3)]) for _ in range(500)], pa.decimal128(38, 0)
        ),
    ]
    with path(setting):
        for keys in ([column] for column in [*columns, columns[0].dictionary_encode()]):
            assert_partition(group(keys, 500), keys)
        assert_partition(group(columns, 500), columns)
        assert group([column.slice(0, 0) for column in columns], 0).size == 0


def assert_partition(groups, keys):
    rows = list(zip(*(key.to_pylist() for key in keys), strict=True))
    pairs = set(zip(groups.codes.tolist(), rows, strict=True))
    assert len(pairs) == len(set(rows)) == groups.size
    assert [rows[member] for member in groups.members] == [
        row for _, row in sorted(pairs, key=lambda p: p[0])
    ]


def test_frames_that_share_a_dictionary_get_the_codes_of_their_values():
    """Also while it grows, gives way to another one and comes back, and where rows are null or left out."""
    choice = random.Random(13)
    pool = pa.array([f"key {no}" for no in range(12)])
    other = pa.array([f"key {no}" for no in range(11, -1, -1)])

    def frame(values, size, nulls=0.0):
        at = [None if choice.random() < nulls else choice.randrange(len(values)) for _ in range(size)]
        return pa.DictionaryArray.from_arrays(pa.array(at, pa.int32()), values)

    grown = [frame(pool[:size], 200) for size in (3, 3, 12, 12)]
    turns = [frame(values, 200, nulls) for values in (other, pool, other) for nulls in (0, 0, 0.2, 0)]
    slices = [frame(pool, 300)[100:150], frame(pool[2:5], 50), frame(pool[2:5], 50), frame(pool, 0)]
    check([[each] for each in (*grown, *turns, *slices)])
    check([[each, each] for each in (*grown, *turns, *slices)])
