"""Column chunks that the native library decodes, against those that Arrow decodes."""

import io
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import CorruptFile, GristmillError
from tests.support.datasets import opened as files_of
from tests.support.datasets import rows
from tests.support.native import PATHS, needs_library, path
from tests.support.parquet_claims import (
    FALSE,
    I32,
    PLAIN,
    RLE,
    RLE_DICTIONARY,
    STRUCT,
    TEXT,
    dictionary,
    file,
    page,
    page_v2,
    struct,
)
from worker_service.native import library
from worker_service.readers.parquet.decode import decode
from worker_service.readers.parquet.file import open_file
from worker_service.readers.parquet.native import ColumnChunk, native_forms
from worker_service.readers.parquet.pages import GivenUp

pytestmark = needs_library

MOMENT = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
ROWS, SHARE = 3000, 4096


def columns(chance, count=ROWS):
    """Every type that the native library knows, with few distinct values and with many."""
    few, many = chance.choices(range(7), k=count), chance.choices(range(-(2**60), 2**60), k=count)
    words = ["", "a", "é" * 5, "0123456789abcdef", "0123456789abcdefg", "x" * 300]
    long = [f"id{n:x}" * (n % 5) for n in many]
    days = [timedelta(n) for n in few]
    return {
        "few": pa.array(few, pa.int64()),
        "many": pa.array(many),
        "int32": pa.array([n >> 30 for n in many], pa.int32()),
        "one": pa.array([7] * count),
        "double": pa.array(np.array(many) / 7),
        "float": pa.array(np.float32(few)),
        "date": pa.array([date(2024, 1, 1) + n for n in days]),
        "ms": pa.array([MOMENT + n for n in days], pa.timestamp("ms"), safe=False),
        "us": pa.array([MOMENT + n for n in days], pa.timestamp("us", "UTC")),
        "ns": pa.array(many, pa.timestamp("ns")),
        "word": pa.array([words[n % 6] for n in few]),
        "text": pa.array(long),
        "large": pa.array(long, pa.large_string()),
        "category": pa.array([words[n % 6] for n in few]).dictionary_encode(),
    }


def with_nulls(array, chance, share):
    """*share* of the values are null instead."""
    places = [None if chance.random() < share else place for place in range(len(array))]
    return array.take(pa.array(places, pa.int64()))


def written(table, **options):
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def forms_of(opened, used=None):
    schema = opened.schema_arrow
    leaves = {
        opened.schema.column(i).path: opened.schema.column(i) for i in range(opened.metadata.num_columns)
    }
    return native_forms(
        {name: (leaves[name], schema.field(name).type) for name in used or schema.names}, None
    )


def chunks_of(opened, group):
    claims = opened.metadata.row_group(group)
    return {chunk.path_in_schema: chunk for chunk in map(claims.column, range(claims.num_columns))}


def by_chunks(source, opened, sizes, used=None):
    """All row groups by the native library alone, whose batches have *sizes* in turn."""
    forms, tables = forms_of(opened, used), []
    assert set(forms) == set(used or opened.schema_arrow.names)
    for group in range(opened.metadata.num_row_groups):
        chunks = {
            name: ColumnChunk(source, chunk, forms[name], SHARE)
            for name, chunk in chunks_of(opened, group).items()
        }
        left = opened.metadata.row_group(group).num_rows
        while left:
            size = min(left, sizes())
            tables.append(pa.table({name: chunk.take(size) for name, chunk in chunks.items()}))
            left -= size
        assert all(chunk.is_read for chunk in chunks.values())
    for table in tables:
        table.validate(full=True)
    return pa.concat_tables([without_dictionaries(table) for table in tables])


def without_dictionaries(table):
    """All texts as plain strings."""
    texts = (pa.types.is_dictionary, pa.types.is_large_string, pa.types.is_string_view)
    plain = [
        field.with_type(pa.string()) if any(is_text(field.type) for is_text in texts) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(plain)).replace_schema_metadata()


LAYOUTS = list(product(("1.0", "2.0"), ("none", "snappy", "zstd"), (True, False), (0, 0.01, 0.5, 1)))


@pytest.mark.parametrize(("version", "codec", "dictionary", "nulls"), LAYOUTS)
def test_all_types_in_all_layouts_are_as_arrow_decodes_them(version, codec, dictionary, nulls):
    chance = random.Random(f"{version}{codec}{dictionary}{nulls}")
    table = pa.table({name: with_nulls(array, chance, nulls) for name, array in columns(chance).items()})
    if not dictionary:  # Arrow wants indexes of it all the same
        table = table.drop_columns("category")
    data = written(
        table,
        data_page_version=version,
        compression=codec,
        use_dictionary=dictionary,
        row_group_size=1100,
        data_page_size=chance.choice([100, 3000, 1 << 20]),
        dictionary_pagesize_limit=chance.choice([2000, 1 << 20]),
        write_page_checksum=chance.random() < 0.5,
        max_rows_per_page=chance.choice([7, 900, 20_000]),
    )
    with files_of(data) as [source]:
        opened = open_file(source, ["word"] if dictionary else [])
        found = by_chunks(source, opened, lambda: chance.choice([1, 3, 8, 100, 999, 5000]))
        assert found.equals(without_dictionaries(opened.read()))


@pytest.mark.parametrize("distinct", [1, 2, 3, 5, 9, 17, 100, 300, 1000, 5000, 40_000])
def test_indexes_of_any_number_of_bits_are_unpacked(distinct):
    numbers = np.random.default_rng(distinct).integers(0, distinct, 100_003) * 1_000_003
    numbers[5000:9000] = numbers[5000]  # a run of one number
    table = pa.table({"n": numbers, "t": pa.array(numbers).cast(pa.string())})
    with files_of(written(table, dictionary_pagesize_limit=1 << 24)) as [source]:
        opened = open_file(source, ["t"])
        chance = random.Random(distinct)
        assert by_chunks(source, opened, lambda: chance.randint(1, 30_000)).equals(table)


def test_required_columns_have_no_levels():
    schema = pa.schema(
        [pa.field("n", pa.int64(), nullable=False), pa.field("t", pa.string(), nullable=False)]
    )
    table = pa.table([list(range(ROWS)), [f"t{i % 9}" for i in range(ROWS)]], schema=schema)
    for version in ("1.0", "2.0"):
        with files_of(written(table, data_page_version=version)) as [source]:
            opened = open_file(source, ["t"])
            assert by_chunks(source, opened, lambda: 700).to_pydict() == table.to_pydict()


@pytest.mark.parametrize("codec", ["snappy", "zstd", "uncompressed"])
def test_files_of_other_writers_are_as_arrow_decodes_them(tmp_path, codec):
    texts = "CASE WHEN i % 11 = 0 THEN NULL ELSE 't' || (i * 7919 % 5003) END"
    rows = f"SELECT i, i % 13 AS few, i / 7 AS x, {texts} AS t, DATE '2024-01-01' + (i % 40)::int AS d"
    frame = duckdb.sql(f"{rows} FROM range(50_000) r(i)")
    duckdb.sql(f"COPY frame TO '{tmp_path}/duckdb.parquet' (COMPRESSION {codec})")
    frame.pl().write_parquet(tmp_path / "polars.parquet", compression=codec, row_group_size=20_000)
    for writer in ("duckdb", "polars"):
        data = (tmp_path / f"{writer}.parquet").read_bytes()
        with files_of(data) as [source]:
            opened = open_file(source)
            expected = without_dictionaries(opened.read())
            assert by_chunks(source, opened, lambda: 7000).cast(expected.schema).equals(expected)


def decoded(source, opened, size=700):
    """The rows of all groups."""
    found = [
        pa.table(batch)
        for group in range(opened.metadata.num_row_groups)
        for batch in decode(source, opened, group, chunks_of(opened, group), size, forms_of(opened))
    ]
    return pa.concat_tables([without_dictionaries(table) for table in found])


def test_columns_that_the_library_does_not_know_are_decoded_by_arrow_beside_those_that_it_knows():
    chance = random.Random(5)
    others = {
        "bool": pa.array([i % 3 == 0 for i in range(ROWS)]),
        "bytes": pa.array([b"%d" % i for i in range(ROWS)]),
        "decimal": pa.array([Decimal(i) / 4 for i in range(ROWS)]),
    }
    table = pa.table(columns(chance) | others)
    delta = {
        "column_encoding": {"many": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY"},
        "use_dictionary": False,
    }
    for options in ({}, {"compression": {"few": "gzip", "text": "brotli"}}, delta):
        with files_of(written(table, row_group_size=1100, **options)) as [source]:
            opened = open_file(source)
            forms = forms_of(opened)
            assert set(table.column_names) - set(forms) == set(others)
            found = decoded(source, opened)
            assert found.select(table.column_names).equals(without_dictionaries(table))


def test_arrow_goes_on_where_the_library_gives_up():
    """After the first pages the dictionary is full, and texts are no indexes any more."""
    table = pa.table({"t": [f"{i * 7919 % 9973}" for i in range(20_000)], "n": range(20_000)})
    data = written(table, dictionary_pagesize_limit=1000, data_page_size=500, max_rows_per_page=100)
    with files_of(data) as [source]:
        opened = open_file(source, ["t"])
        chunk = ColumnChunk(source, chunks_of(opened, 0)["t"], forms_of(opened)["t"], SHARE)
        chunk.take(50)
        with pytest.raises(GivenUp):
            chunk.take(19_950)
        for size in (64, 1000, 50_000):
            assert decoded(source, opened, size).equals(table)


def test_a_snappy_page_of_fewer_bytes_than_its_header_tells_is_given_up():
    """Arrow's codec would leave the last ones as they were in memory."""
    table = pa.table({"n": range(100)})
    data = written(table, use_dictionary=False, compression="snappy", write_statistics=False)
    with files_of(data) as [source]:
        opened = open_file(source)
        chunk = chunks_of(opened, 0)["n"]
        assert ColumnChunk(source, chunk, forms_of(opened)["n"], SHARE).take(100).equals(table["n"].chunk(0))
    # Two varints: the type of the page, which is 0, and its size, whose second octet is the last.
    size = chunk.data_page_offset + 4
    assert data[size - 4 : size - 1] == b"\x15\x00\x15"
    with files_of(data[:size] + bytes([data[size] + 1]) + data[size + 1 :]) as [source]:
        opened = open_file(source)
        with pytest.raises(GivenUp):
            ColumnChunk(source, chunk, forms_of(opened)["n"], SHARE).take(100)


def damaged(data, chance, places):
    """One to three octets at *places* are others."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.choice(places)
        found[at] = chance.choice(
            [0, 1, 127, 128, 255, found[at] ^ 1 << chance.randrange(8), chance.randrange(256)]
        )
    return bytes(found)


SNAPPY = 1
NUMBERS = np.arange(8, dtype="<i4").tobytes()
PACKED = bytes(pa.compress(NUMBERS, "snappy"))
NULLS = b"\x10\x00"
"""Levels of eight nulls: a run of zeros."""


def with_a_truth_value(field):
    """A page whose header has a truth value in place of a number."""
    numbers = [(1, I32, 8), (2, I32, PLAIN), (3, I32, RLE), (4, I32, RLE)]
    numbers[field - 1] = (field, FALSE, None)
    sizes = (2, I32, len(NUMBERS)), (3, I32, len(NUMBERS))
    return struct((1, I32, 0), *sizes, (5, STRUCT, struct(*numbers))) + NUMBERS


def of_levels(levels, values):
    return page(len(levels).to_bytes(4, "little") + levels + values, 8, encoding=RLE_DICTIONARY)


CRAFTED = {
    "sound": file((page(NUMBERS, 8), 8, 8)),
    "nulls in indexes without a dictionary": file((of_levels(NULLS, b""), 8, 8), optional=True),
    "texts that are so": file((of_levels(NULLS, b""), 8, 8), optional=True, kind=TEXT),
    "not packed": file((page_v2(8, NUMBERS, is_packed=FALSE, uncompressed=32), 8, 8), codec=SNAPPY),
    "of an old writer, and packed all the same": file(
        (page_v2(8, PACKED, is_packed=FALSE, uncompressed=32), 8, 8),
        codec=SNAPPY,
        writer=b"parquet-cpp version 1.5.1-SNAPSHOT",
    ),
    "packed, and of no size": file((page(PACKED, 8, uncompressed=0), 8, 8), codec=SNAPPY),
    **{f"a truth value as field {field}": file((with_a_truth_value(field), 8, 8)) for field in (1, 2, 3, 4)},
    "a page of no rows": file((page(b"", 0) + page(NUMBERS, 8), 8, 8)),
    "more rows than the chunk": file((page(NUMBERS + NUMBERS, 16), 8, 8)),
    "an index beyond the words": file((dictionary([b"abcd", b"efgh"], [0, 1, 2]), 3, 3)),
    "equal words": file((dictionary([b"abcd", b"abcd"], [0, 1, 1]), 3, 3)),
    "a run of seven bits in each of six octets": file(
        (dictionary([b"abcd"], [0] * 8).replace(b"\x02\x00" * 8, b"\x90\x80\x80\x80\x80\x00\x00"), 8, 8)
    ),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_pages_give_what_arrow_gives(name):
    native, plain = (outcome(CRAFTED[name], setting, 1 << 20) for setting in PATHS)
    assert native == plain


def test_indexes_without_a_dictionary_are_given_up_before_other_columns_are_decoded():
    table = pa.table({"t": ["a", "b"], "n": [1, 2]})
    with files_of(written(table, use_dictionary=["n"])) as [source]:
        opened = open_file(source, ["t"])
        with pytest.raises(GivenUp):
            ColumnChunk(source, chunks_of(opened, 0)["t"], forms_of(opened)["t"], SHARE)


def test_offsets_that_int32_cannot_hold_are_given_up():
    assert library().gm_chunk_texts(None, 0, np.zeros(1, np.int32).ctypes.data, None, 2**31, None) == -1


DAMAGED = [
    {"compression": "none"},
    {"compression": "none", "data_page_version": "2.0"},
    {"compression": "snappy", "write_page_checksum": True},
    {"compression": "snappy", "use_dictionary": False},
    {"compression": "zstd", "data_page_version": "2.0"},
]


def outcome(data, setting, batch_bytes):
    """The rows of a file, as text, or the kind of its error; *setting* is that of GRISTMILL_NATIVE."""
    with path(setting):
        try:
            return repr(rows(data, batch_bytes=batch_bytes))
        except GristmillError as error:
            return type(error)


def check_damaged(options, seed, count):
    """Damaged pages give the rows that they give without the library, or an error of the same kind."""
    chance = random.Random(seed)
    table = columns(chance, 40)
    names = ["few", "many", "double", "word", "text"]
    table = pa.table({name: with_nulls(table[name], chance, 0.2) for name in names})
    data = written(table, data_page_size=64, **options)
    with files_of(data) as [source]:
        pages = 4 + sum(chunk.total_compressed_size for chunk in chunks_of(open_file(source), 0).values())
    outcomes = set()
    for _ in range(count):
        made, batch_bytes = damaged(data, chance, range(4, pages)), chance.choice([100, 1 << 20])
        native, plain = (outcome(made, setting, batch_bytes) for setting in PATHS)
        assert native == plain, made
        outcomes.add(plain)
    assert CorruptFile in outcomes
    assert len(outcomes) > 1


@pytest.mark.parametrize("options", DAMAGED, ids=repr)
def test_damaged_pages_give_what_arrow_gives(options):
    check_damaged(options, 1, 150)


@pytest.mark.full
@pytest.mark.parametrize("options", DAMAGED, ids=repr)
def test_thousands_of_damaged_pages_give_what_arrow_gives(options):
    check_damaged(options, 2, 2500)
