"""Files of one dataset: columns by name, columns of the path, columns in use only."""

import csv
import io
import random
import re
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import CorruptFile, InvalidSpec, SchemaConflict, SourceEmpty, UnknownColumn
from shared.spec.source import SourceSpec
from shared.spec.uses import Mention, Uses
from tests.support.datasets import opened, read
from worker_service.readers import misfits, plan


def uses(*values, keys=()):
    return Uses(
        (
            *(Mention(("group_by", i), name, key=True) for i, name in enumerate(keys)),
            *(Mention(("aggregates", i, "column"), name, value=True) for i, name in enumerate(values)),
        )
    )


def spec(types=None, **changes):
    return SourceSpec.model_validate({"uris": ["file:///data/*"], "types": types or {}, **changes})


def parquet(table):
    out = io.BytesIO()
    pq.write_table(pa.table(table), out)
    return out.getvalue()


@contextmanager
def named(files):
    """Files with these contents at these paths."""
    with opened(*files.values()) as made:
        yield [replace(file, uri=f"file:///data/{path}") for file, path in zip(made, files, strict=True)]


def answer(files, wanted, given=None, chunk_bytes=1 << 20):
    """The schema, the rows in file order, and the warnings."""
    given = given or spec()
    with named(files) as made:
        planned = plan(made, given, chunk_bytes, uses=wanted)
        names = planned.schema.names
        frames = [
            frame
            for extents in planned.extents
            for extent in extents
            for frame in read(made[extent.file], extent, planned.source, planned.schema, names, 1 << 20)
        ]
    types = {field.name: str(field.type) for field in planned.schema.fields}
    return types, [tuple(row.values()) for frame in frames for row in frame.to_pylist()], planned.warnings


# --- by name ---


def test_the_order_of_columns_may_differ_and_columns_that_are_not_used_do_not_matter():
    files = {"a": b"id,n,x\n1,10,x\n2,20,y\n", "b": b"n,id\n40,1\n80,2\n", "c": b"z,y,n,id\n,,7,3\n"}
    types, rows, _ = answer(files, uses("n", keys=["id"]))
    assert types == {"id": "int64", "n": "int64"}
    assert rows == [(1, 10), (2, 20), (1, 40), (2, 80), (3, 7)]


@pytest.mark.parametrize("chunk_bytes", [7, 40, 1 << 20])
def test_files_of_any_order_give_what_pythons_csv_module_gives_at_any_cut(chunk_bytes):
    chance, files, expected = random.Random(7), {}, []
    for no in range(4):
        names = chance.sample(["k", "a", "b", "c", "d"], 5)
        out = io.StringIO()
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        for _ in range(9):
            row = {name: chance.randrange(100) for name in names}
            expected.append((row["k"], row["c"]))
            writer.writerow(row)
        files[f"f{no}"] = out.getvalue().encode()
    assert answer(files, uses("c", keys=["k"]), chunk_bytes=chunk_bytes)[1] == expected


def test_a_file_that_lacks_a_column_in_use_is_named_with_the_column():
    files = {"a": b"id,n\n1,10\n", "b": b"id,m\n1,10\n"}
    with pytest.raises(
        SchemaConflict, match=r'data/b lacks "n": it has "id", "m"; .*missing_columns to "null"'
    ):
        answer(files, uses("n", keys=["id"]))
    assert answer(files, uses(keys=["id"]))[1] == [(1,), (1,)]
    types, rows, _ = answer(files, uses("n", keys=["id"]), spec(missing_columns="null"))
    assert (types, rows) == ({"id": "int64", "n": "int64"}, [(1, 10), (1, None)])


def test_a_file_of_another_delimiter_is_not_cured_by_nulls():
    files = {"a": b"store,n\n1,10\n", "b": b"store;n\n1;10\n"}
    given = spec(csv={"delimiter": ","})
    with pytest.raises(
        SchemaConflict, match=r'data/b lacks "store", "n": .*so its delimiter is another: give it to'
    ):
        answer(files, uses("n", keys=["store"]), given)
    with pytest.raises(SchemaConflict, match="a dataset has one: give the files to two jobs"):
        answer(files, uses("n", keys=["store"]))
    nulled = spec(csv={"delimiter": ","}, missing_columns="null")
    _, _, warnings = answer(files, uses("n", keys=["store"]), nulled)
    assert [(w.code, w.column) for w in warnings] == [("missing_column", "store"), ("missing_column", "n")]


def test_a_missing_column_is_told_with_the_one_that_may_be_meant():
    files = {"a": b"store,n\n1,10\n", "b": b"Store,n\n1,10\n", "c": b"Store,n\n2,5\n"}
    with pytest.raises(SchemaConflict, match='if its "Store" is "store", rename it or give the file to'):
        answer(files, uses("n", keys=["store"]))
    [warning] = answer(files, uses("n", keys=["store"]), spec(missing_columns="null"))[2]
    assert warning.detail == (
        '"store" is null in file:///data/b and 1 more of its columns, which has "Store", "n"; '
        'its "Store" may be the same column'
    )


def test_a_missing_column_of_parquet_is_null_in_its_type():
    files = {"a": parquet({"s": ["x"], "n": [1.5]}), "b": parquet({"n": pa.array([2], pa.int8())})}
    types, rows, _ = answer(files, uses("n", "s"), spec(missing_columns="null"))
    assert (types, rows) == ({"n": "float64", "s": "string"}, [(1.5, "x"), (2.0, None)])
    with pytest.raises(SchemaConflict, match='data/b lacks "s"'):
        answer(files, uses("s"))


def test_a_name_with_white_space_around_it_is_told_with_trim():
    files = {"a": b" a , b \n1,2\n"}
    with pytest.raises(UnknownColumn, match=r"; set csv\.trim to true: the header has the name with"):
        answer(files, uses("a"))
    assert answer(files, uses("a"), spec(csv={"trim": True}))[1] == [(1,)]


def test_a_column_that_no_file_has_is_unknown_whatever_missing_columns_says():
    with pytest.raises(UnknownColumn, match='there is no column "q"; the data has "id", "n", "m"'):
        answer({"a": b"id,n\n1,1\n", "b": b"id,m\n1,1\n"}, uses("q"), spec(missing_columns="null"))


def test_an_empty_file_among_others_is_skipped_with_a_warning():
    files = {"a": b"", "b": b"n\n1\n", "c": b"\n\n", "d": b"n\n2\n"}
    _, rows, warnings = answer(files, uses("n"))
    assert rows == [(1,), (2,)]
    assert [w.code for w in warnings] == ["empty_file", "empty_file"]
    assert warnings[0].detail == "file:///data/a is empty; it is left out"
    assert "data/c" in warnings[1].detail


@pytest.mark.parametrize(
    "files", [{"a": b""}, {"a": b"", "b": b""}, {"a": b"\n", "b": b""}, {"a": b"\n", "b": b"\n"}]
)
def test_a_dataset_of_empty_files_is_empty(files):
    with pytest.raises(SourceEmpty):
        answer(files, uses("n"))


# --- a key keeps its spelling ---


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["10.1", "10.10"], "string"),
        (["1e5", "100000"], "string"),
        (["1", "-2", ""], "int64"),
        (["007", "7"], "string"),
        (["2024-01-05", "0001-01-01"], "date"),
        (["2024-01-05", "2024-01-05 00:00:00"], "string"),
        (["true", "false"], "bool"),
        (["nan", "inf"], "string"),
        (["12111450436133142103"], "string"),
    ],
)
def test_a_key_has_the_type_whose_values_are_spelled_in_one_way(texts, kind):
    data = "k,v\n" + "".join(f"{text},1\n" for text in texts)
    types, rows, _ = answer({"a": data.encode()}, uses("v", keys=["k"]))
    assert types["k"] == kind
    if kind == "string":
        assert [row[0] for row in rows] == texts


def test_a_key_that_is_computed_with_keeps_its_own_type_there():
    types, rows, _ = answer({"a": b"p\n1.0\n1\n1.50\n"}, uses("p", keys=["p"]))
    assert types == {"\0p": "string", "p": "float64"}
    assert rows == [("1.0", 1.0), ("1", 1.0), ("1.50", 1.5)]


def test_a_declared_key_and_a_key_of_parquet_have_their_types():
    assert answer({"a": b"k\n1.0\n1\n"}, uses(keys=["k"]), spec({"k": "float64"}))[0] == {"k": "float64"}
    assert answer({"a": parquet({"k": [1.5]})}, uses("k", keys=["k"]))[0] == {"k": "float64"}


def test_keys_of_two_kinds_in_two_files_are_strings():
    files = {"a": b"k\n1\n", "b": b"k\n2024-01-01\n", "c": b"k\n\n\n"}
    assert answer(files, uses(keys=["k"]))[0] == {"k": "string"}


# --- columns of the path ---

HIVE = spec(partitions="hive")


def test_folders_are_columns_when_the_spec_says_so():
    files = {
        "year=2018/m=01/p.parquet": parquet({"n": [1, 2]}),
        "year=2019/m=__HIVE_DEFAULT_PARTITION__/p.parquet": parquet({"n": [4]}),
    }
    types, rows, _ = answer(files, uses("n", keys=["year", "m"]), HIVE)
    assert types == {"year": "int64", "m": "string", "n": "int64"}
    assert rows == [(2018, "01", 1), (2018, "01", 2), (2019, None, 4)]
    with pytest.raises(
        UnknownColumn, match=r'the path has folders "year=…": set source\.partitions to "hive"'
    ):
        answer(files, uses("n", keys=["year"]))


def test_names_and_values_of_folders_are_percent_decoded():
    files = {"a b%3Dc=x%252Fy %2525/p.csv": b"n\n1\n"}  # the folder `a b=c=x%2Fy %25`, in a URI
    types, rows, _ = answer(
        {"t%253D=2024-01-01T00%253A00%253A00/p.csv": b"n\n1\n"}, uses("n", keys=["t="]), HIVE
    )
    assert (types["t="], len(rows)) == ("timestamp", 1)
    assert answer(files, uses("n", keys=["a b"]), HIVE)[1] == [("c=x/y %", 1)]


def test_a_folder_is_typed_as_the_spec_declares_and_as_key_and_value():
    files = {"d=1/p.csv": b"n\n1\n", "d=1.0/p.csv": b"n\n2\n"}
    types, rows, _ = answer(files, uses("d", "n", keys=["d"]), HIVE)
    assert (types["\0d"], types["d"]) == ("string", "float64")
    assert rows == [("1", 1.0, 1), ("1.0", 1.0, 2)]
    assert answer(files, uses(keys=["d"]), spec({"d": "float64"}, partitions="hive"))[1] == [(1.0,), (1.0,)]
    with pytest.raises(
        SchemaConflict, match=r'data/d=1\.0/p\.csv: .*"d" the value "1\.0", which is no int64'
    ):
        answer(files, uses(keys=["d"]), spec({"d": "int64"}, partitions="hive"))


@pytest.mark.parametrize("content", [b"n\n1\n", parquet({"n": [1]})])
def test_folders_with_leading_zeros_are_told_with_the_entry_that_reads_them(content):
    files = {f"month={month}/p": content for month in ("02", "12")}
    entry = 'write {"month": {"type": "int64", "lenient": true}} into source.types'
    with pytest.raises(SchemaConflict, match=re.escape(entry)):
        answer(files, uses("month"), spec({"month": "int64"}, partitions="hive"))
    with named(files) as made:
        told = misfits(made, spec(partitions="hive", csv={"delimiter": ","}), [("month", "float64")])
    assert told == {("month", "float64"): f"'02' in 50.0% of sampled rows; {entry}"}
    read = spec({"month": {"type": "int64", "lenient": True}}, partitions="hive")
    assert answer(files, uses("month"), read)[1] == [(2,), (12,)]


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ({"README.txt": b"read me\n", "x/b.tsv": b"n\n2\n"}, "such as file:///data/d.zip!/*.tsv, or set"),
        ({"b.tsv": b"m\n2\n"}, "such as file:///data/d.zip!/a.tsv, or set"),
    ],
)
def test_a_cure_names_members_of_the_zip_file_that_have_the_columns(others, named):
    files = {"d.zip!/a.tsv": b"n\n1\n", **{f"d.zip!/{name}": data for name, data in others.items()}}
    with pytest.raises(SchemaConflict, match='lacks "n"') as raised:
        answer(files, uses("n"))
    assert named in raised.value.detail
    with pytest.raises(SchemaConflict) as raised:
        answer({"d.zip!/a.tsv": b"m\n1\n", "b.tsv": b"n\n2\n"}, uses("n"))
    assert "members" not in raised.value.detail


def test_a_folder_that_some_file_lacks_is_a_missing_column():
    files = {"y=1/p.csv": b"n\n1\n", "p.csv": b"n\n2\n"}
    with pytest.raises(SchemaConflict, match=r'data/p\.csv lacks "y"'):
        answer(files, uses("n", keys=["y"]), HIVE)
    nulls = spec(partitions="hive", missing_columns="null")
    assert answer(files, uses("n", keys=["y"]), nulls)[1] == [(1, 1), (None, 2)]


def test_a_folder_that_is_a_column_too_has_to_say_the_same():
    good = {"y=1/p.csv": b"y,n\n1,1\n", "y=2/p.csv": b"n\n2\n", "y=3/p.parquet": None}
    del good["y=3/p.parquet"]
    assert answer(good, uses("n", keys=["y"]), HIVE)[1] == [(1, 1), (2, 2)]
    assert answer({"y=a/p": parquet({"y": ["a"], "n": [1]})}, uses("n", keys=["y"]), HIVE)[1] == [("a", 1)]
    with pytest.raises(SchemaConflict, match=r'y=1/p: column "y" holds 2 in the file, and the path says 1'):
        answer({"y=1/p": b"y,n\n1,1\n2,1\n"}, uses("n", keys=["y"]), HIVE)


def test_a_folder_twice_in_a_path_is_a_conflict():
    with pytest.raises(SchemaConflict, match='two folders "y=…"'):
        answer({"y=1/y=2/p": b"n\n1\n"}, uses("n"), HIVE)


def test_the_files_uri_is_a_column_when_the_spec_names_it():
    files = {"a": b"n\n1\n2\n", "b": b"n\n3\n"}
    given = spec(file_column="file")
    a, b = "file:///data/a", "file:///data/b"
    assert answer(files, uses("n", keys=["file"]), given)[1] == [(a, 1), (a, 2), (b, 3)]
    assert answer(files, uses(keys=["file"]), given)[1] == [(a,), (a,), (b,)]
    with pytest.raises(SchemaConflict, match='the files have a column "n"; choose another name'):
        answer(files, uses("n"), spec(file_column="n"))
    with pytest.raises(SchemaConflict, match='folder "y=…"; choose another name'):
        answer({"y=1/a": b"n\n1\n"}, uses("n"), spec(file_column="y", partitions="hive"))


def test_folders_and_missing_columns_are_the_same_for_ndjson():
    files = {"y=1/a.jsonl": b'{"n": 1, "s": "x"}\n{"n": 2}\n', "y=2/b.jsonl": b'{"n": 3}\n'}
    both = spec(partitions="hive", file_column="f")
    a, b = "file:///data/y=1/a.jsonl", "file:///data/y=2/b.jsonl"
    types, rows, _ = answer(files, uses("n", "s", keys=["y", "f"]), both)
    assert types == {"y": "int64", "f": "string", "n": "int64", "s": "string"}
    assert rows == [(1, a, 1, "x"), (1, a, 2, None), (2, b, 3, None)]
    with pytest.raises(SchemaConflict, match=r'column "y" holds 5 in the file, and the path says 1'):
        answer({"y=1/a.jsonl": b'{"y": 5}\n'}, uses(keys=["y"]), both)


@pytest.mark.parametrize(
    ("data", "found", "options"),
    [
        (b'{"n": 1}\n', "ndjson", {"csv": {"null_values": ["NA"], "header": False}}),
        (parquet({"n": [1]}), "parquet", {"csv": {"delimiter": ";"}, "xlsx": {"sheet": 2}}),
        (b"n\n1\n", "csv", {"parquet": {"nanoseconds": "truncate"}, "xlsx": {"sheet": "Orders"}}),
    ],
)
def test_options_that_mean_nothing_for_the_found_format_are_errors(data, found, options):
    with named({"a": data}) as made, pytest.raises(InvalidSpec) as error:
        plan(made, spec(**options), 1000)
    pointers = {f"#/source/{name}/{key}" for name, keys in options.items() for key in keys}
    assert {each["pointer"] for each in error.value.errors} == pointers
    assert all(f"file:///data/a is {found}" in each["detail"] for each in error.value.errors)


def test_parquet_refuses_another_compression_and_spellings_of_a_column_without_texts():
    data = parquet({"n": [1.5], "s": ["1,5"]})
    plain, comma = "decimal(9,2)", {"type": "decimal(9,2)", "decimal": ","}
    with pytest.raises(CorruptFile, match=r'not a gzip file: .*set source.compression to "none"'):
        answer({"a": data}, uses("n"), spec(compression="gzip"))
    with pytest.raises(InvalidSpec, match=r'"decimal" say how text is written, and column "n" .* is double'):
        answer({"a": data}, uses("n"), spec({"n": comma}))
    assert answer({"a": data}, uses("n", "s"), spec({"n": plain, "s": comma}, csv={"delimiter": ","}))[1] == [
        (Decimal("1.50"), Decimal("1.50"))
    ]


def test_a_key_whose_samples_are_all_quoted_nulls_is_a_string_and_tells_them_from_unquoted_ones():
    given = spec(csv={"null_values": ["NA"]})
    for body, keys in (('"NA"\n' * 2, ["NA", "NA"]), ('NA\n"NA"\n\n""\n', [None, "NA", None, ""])):
        _, found, _ = answer({"a.csv": f"k\n{body}".encode()}, uses(keys=["k"]), given)
        assert found == [(key,) for key in keys]
    files = {"a.csv": b'k\n"NA"\n', "b.csv": b"k\n1\n"}
    assert answer(files, uses(keys=["k"]), given)[1] == [(None,), (1,)]
