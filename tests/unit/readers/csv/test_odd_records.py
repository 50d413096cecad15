"""Records that cannot be rows are set aside by number, and the others are read."""

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.datasets import opened, source
from worker_service.readers.csv import numbered
from worker_service.readers.csv.blocks import count_records, stream_blocks
from worker_service.readers.csv.dialect import Dialect
from worker_service.readers.csv.file import csv_file
from worker_service.readers.csv.masked import records
from worker_service.readers.csv.scan import Scanner
from worker_service.readers.csv.tokenizer import TEXT, tokenize
from worker_service.readers.csv.tokens import Odd


def tokens_of(data, names, columns=None, **options):
    """The tokens of all of *data* as one block, the number of records, and the bytes of the odd ones."""
    spec = source(delimiter=",", **options)
    with opened(data) as [file]:
        found = replace(csv_file(file, spec), names=names)
        [block] = stream_blocks(found, 0, len(data))
        tokens = tokenize(block, found, dict.fromkeys(columns or names, TEXT))
        spans = found.spans(block.masked[: block.size], [odd.number for odd in tokens.odd])
        return tokens, count_records(block, found, tokens.ragged), [data[start:stop] for start, stop in spans]


FIELD = st.sampled_from(["", "a", '"b\n"', '","', '"""x"', "é"])
RECORD = st.lists(FIELD, min_size=1, max_size=4).map(",".join).filter(bool)


@given(st.lists(RECORD, min_size=1, max_size=12), st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
@settings(max_examples=40)
def test_ragged_records_are_those_of_the_csv_module(lines, end):
    text = "".join(line + end for line in lines)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    tokens, count, texts = tokens_of(text.encode(), ("x", "y"))
    assert count == len(rows)
    assert [tuple(value or "" for value in row.values()) for row in tokens.table.to_pylist()] == [
        tuple(row) for row in rows if len(row) == 2
    ]
    assert tokens.odd == tuple(Odd(i, len(row)) for i, row in enumerate(rows) if len(row) != 2)
    assert [next(csv.reader([text.decode()])) for text in texts] == [row for row in rows if len(row) != 2]


@given(st.lists(RECORD, min_size=1, max_size=12))
@settings(max_examples=40)
def test_short_records_are_padded_with_nulls_where_the_spec_says_so(lines):
    text = "".join(line + "\n" for line in lines)
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    tokens, count, _ = tokens_of(text.encode(), ("x", "y", "z"), short_rows="null")
    assert count == len(rows)
    assert [tuple(value or "" for value in row.values()) for row in tokens.table.to_pylist()] == [
        tuple(row + [""] * (3 - len(row))) for row in rows if len(row) <= 3
    ]
    assert tokens.odd == tuple(Odd(i, len(row)) for i, row in enumerate(rows) if len(row) > 3)


@pytest.mark.parametrize("octet", [b"\0", b"\xff"])
def test_unreadable_text_matters_in_columns_in_use_only(octet):
    data = b"a,b\n" + octet + b",c\nd," + octet + b"\n,\n"
    tokens, count, texts = tokens_of(data, ("x", "y"), columns=["y"])
    assert (count, tokens.odd, texts) == (4, (Odd(2, column=1),), [b"d," + octet])
    assert tokens.table.to_pydict() == {"y": ["b", "c", None]}


def test_a_character_that_is_torn_between_two_rows_is_wrong_in_both():
    tokens, _, _ = tokens_of(b"a\n\xc3\n\xa9\nb\n", ("x",))
    assert (tokens.table.to_pydict(), tokens.odd) == (
        {"x": ["a", "b"]},
        (Odd(1, column=0), Odd(2, column=0)),
    )


def test_records_that_the_encoding_does_not_know_are_cut_out_whatever_column_it_is():
    data = b"a,b\nc,d\x81\n\x81,e,f\ng,h\n"
    tokens, count, texts = tokens_of(data, ("x", "y"), columns=["x"], encoding="shift_jis")
    assert (count, texts) == (4, [b"c,d\x81", b"\x81,e,f"])
    assert tokens.odd == (Odd(1, column=1), Odd(2, fields=3, column=0))
    assert tokens.table.to_pydict() == {"x": ["a", "g"]}


@given(
    st.lists(st.sampled_from(["a", "b,", '"x\ny"', "\n", "\r", "\r\n", "#", "\n#c\n", ","]), max_size=80),
    st.sampled_from([b'"', b""]),
    st.sampled_from([b"#", b""]),
)
@settings(max_examples=40)
def test_a_record_found_by_its_number_is_the_one_found_among_all(parts, quote, comment):
    dialect = Dialect(delimiter=b",", quote=quote, comment=comment)
    scanner, data = Scanner(dialect, 0), "".join(["c", *parts]).encode()
    try:
        masked = scanner.feed(data)
        scanner.finish()
    except Exception:  # noqa: BLE001  # such files have other tests
        return
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(numbered, "_WINDOW", 64)
        patched.setattr(numbered, "_FEW", 999)
        whole = records(masked, dialect, keep_empty=False)
        some = range(0, len(whole.starts), 2)
        found = numbered.spans(masked, dialect, some, keep_empty=False)
    assert found.tolist() == [[int(whole.starts[i]), int(whole.stops[i])] for i in some]
