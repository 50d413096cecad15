"""Arrow arrays go over to numpy and back without a change, sliced and with nulls."""

import datetime as dt
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from shared.errors import InternalError
from shared.spec.types import parse_result_type
from worker_service import arrow

ARRAYS = {
    "bool": pa.array([True, None, False, True]),
    "int64": pa.array([1, None, -(2**63), 2**63 - 1]),
    "float64": pa.array([0.5, None, -1e300, 5e-324]),
    "date": pa.array([dt.date(1969, 12, 31), None, dt.date(9999, 12, 31), dt.date(1, 1, 1)]),
    "timestamp": pa.array([0, None, -1, 2**50], pa.timestamp("us")),
    "timestamptz": pa.array([0, None, -1, 2**50], pa.timestamp("us", tz="UTC")),
    "decimal(18,3)": pa.array(
        [Decimal("-0.001"), None, Decimal("1.5"), Decimal(10**14)], pa.decimal128(18, 3)
    ),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_numbers_and_validity_make_the_same_array_again(kind):
    array = ARRAYS[kind]
    assert array.type == arrow.arrow_type(parse_result_type(kind))
    for part in (array, array.slice(1, 2), array.slice(2), array.slice(0, 0)):
        again = arrow.from_numbers(part.type, arrow.numbers_of(part), arrow.validity(part))
        assert again.equals(part)


def test_words_make_the_same_wide_decimals_again():
    array = pa.array([Decimal(-1), None, Decimal(10**37), Decimal(-(10**37))], pa.decimal128(38, 0)).slice(1)
    assert arrow.from_int128_words(array.type, *arrow.int128_words(array), arrow.validity(array)).equals(
        array
    )
    with pytest.raises(InternalError, match="does not fit"):
        arrow.numbers_of(array)


def test_offsets_of_a_slice_lead_to_its_strings():
    offsets, data = arrow.string_bytes(pa.array(["ab", "", None, "né", "z"]).slice(1, 3))
    assert [bytes(data[a:b]).decode() for a, b in pairwise(offsets)] == [
        "",
        "",
        "né",
    ]
    offsets, data = arrow.string_bytes(pa.array([], pa.utf8()))
    assert (offsets.tolist(), data.tolist()) == ([0], [])


def test_a_null_in_a_dictionary_counts_as_null():
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["a", None]))
    assert arrow.validity(array).tolist() == [True, False, False, True]
    encoded = arrow.with_dictionary(array)
    assert encoded.dictionary.null_count == 0
    assert arrow.without_dictionary(encoded).to_pylist() == ["a", None, None, "a"]


def test_chunks_with_different_dictionaries_become_one_array():
    chunks = [pa.array(["a", "b"]).dictionary_encode(), pa.array(["c", "a"]).dictionary_encode()]
    assert arrow.as_array(pa.chunked_array(chunks)).to_pylist() == ["a", "b", "c", "a"]


def test_canonical_doubles_have_one_zero_and_one_nan():
    odd_nan = np.array([0x7FF8_0000_0000_0001], np.uint64).view(np.float64)
    array = pa.array(np.concatenate([[-0.0, 0.0, np.nan], odd_nan]))
    bits = arrow.numbers_of(arrow.canonical(array)).view(np.uint64).tolist()
    assert (bits[0], bits[2]) == (bits[1], bits[3])
    assert bits[0] == 0
