"""What is refused of what Arrow has decoded, against Arrow's own full validation."""

from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from worker_service.readers.sound import check

WORDS = pa.array(["a", "bb", "ccc"])
MANY, VERY_MANY = (pa.array(map(str, range(size))) for size in (300, 40_000))


def indexes(numbers, kind, nulls=None, words=WORDS):
    """A dictionary-encoded column with *numbers* as they are."""
    bits = None if nulls is None else pa.py_buffer(np.packbits(~np.array(nulls), bitorder="little"))
    data = pa.py_buffer(np.array(numbers, kind))
    codes = pa.Array.from_buffers(pa.from_numpy_dtype(kind), len(numbers), [bits, data])
    return pa.DictionaryArray.from_arrays(codes, words, safe=False)


def strings(offsets, data, nulls=(), claimed=-1):
    bits = pa.py_buffer(np.packbits(~np.array(nulls), bitorder="little")) if nulls else None
    buffers = [bits, pa.py_buffer(np.array(offsets, np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.utf8(), len(offsets) - 1, buffers, null_count=claimed)


COLUMNS = {
    **{f"indexes {given} {kind}": indexes(given, kind)
       for kind in ("int8", "int32", "int64", "uint8")
       for given in ([0, 1, 2], [2, 2, 3], [1, 0, 100], [])},
    "a negative index": indexes([0, -1, 1], "int32"),
    "the least index": indexes([0, -(2**31)], "int32"),
    "a wrong index below a null": indexes([0, 7, 1], "int32", [False, True, False]),
    "a wrong index beside a null": indexes([0, 7, 1], "int32", [True, False, False]),
    "an index into no words": indexes([0], "int32", words=WORDS[:0]),
    "a negative index among many words": indexes([0, -1, 5], "int8", words=MANY),
    "an index that needs all its bits": indexes([0, 200, 255], "uint8", words=MANY),
    "a negative index among very many words": indexes([0, -1], "int16", words=VERY_MANY),
    "ascii and a null": strings([0, 1, 3], b"abc", [False, True]),
    "no text below a null": strings([0, 1, 3], b"a\xff\xfe", [False, True]),
    "more nulls than there are": strings([0, 1, 3], b"abc", [False, True], 2),
    "nulls that are not counted": strings([0, 1, 3], b"abc", [False, True], 0),
    "ascii": strings([0, 1, 3], b"abc"),
    "not from the first byte": strings([1, 1, 3], b"\xffbc"),
    "utf-8": strings([0, 2, 4], "éß".encode()),
    "cut in a character": strings([0, 1, 4], "éß".encode()),
    "not utf-8": strings([0, 1, 3], b"a\xff\xfe"),
    "offsets that go back": strings([0, 3, 1, 3], b"abc"),
    "an offset beyond the bytes between": strings([0, 9, 3], b"abc"),
    "a negative offset between": strings([0, -2, 3], b"abc"),
    "no strings": strings([0], b""),
    "empty strings": strings([0, 0, 0], b""),
    "numbers": pa.array([1, None, 3]),
    "lists": pa.array([["a"], None]),
}  # fmt: skip


def refusal(checked, column):
    try:
        checked(pa.RecordBatch.from_arrays([pa.nulls(len(column)), column], ["n", "x"]))
    except pa.ArrowInvalid as error:
        return type(error)
    return None


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("start", [0, 1])
def test_columns_are_refused_that_arrow_refuses(name, start):
    column = COLUMNS[name].slice(start)
    assert refusal(check, column) == refusal(lambda batch: batch.validate(full=True), column)


def test_some_columns_are_refused_and_some_are_not():
    found = {refusal(check, column) for column in COLUMNS.values()}
    assert found == {None, pa.ArrowInvalid}


def test_words_of_a_dictionary_are_text():
    words = strings([0, 1, 2], b"a\xff")
    column = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), words, safe=False)
    assert refusal(check, column)


def test_every_pair_of_bytes_is_text_where_python_says_so():
    for pair in product([0, 65, 127, 128, 169, 195, 255], repeat=2):
        text = bytes(pair)
        assert bool(refusal(check, strings([0, 2], text))) == (text.decode(errors="ignore").encode() != text)
