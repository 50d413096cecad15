"""Whole jobs through real processes: right answers, and clear errors for bad input."""

import gzip
import io
import json
import math
import random
import zipfile

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from tests.support.stack import eventually


def spec(uri, *, group_by=("k",), aggregates=({"fn": "count"},), source=None, **rest):
    """A valid spec; keywords override."""
    return {
        "source": {"uris": [uri], "format": "csv", **(source or {})},
        "group_by": list(group_by),
        "aggregates": list(aggregates),
        **rest,
    }


def sales(rows=5000, seed=1):
    chance = random.Random(seed)
    lines = ["k,city,n,x"]
    for i in range(rows):
        n = "" if i % 17 == 0 else str(chance.randrange(-(2**40), 2**40))
        lines.append(f'{chance.choice("abcde")},"new ""{i % 7}"", town",{n},{chance.uniform(-1e6, 1e6)!r}')
    return "\n".join(lines) + "\n"


ALL = [{"fn": fn, "column": "x"} for fn in ("count", "sum", "mean", "min", "max", "var", "std")] + [
    {"fn": "sum", "column": "n"},
    {"fn": "count"},
]


def check_all(rows, frame, keys):
    """Compare rows of ALL with pandas (integers) and with exact arithmetic (floats)."""
    groups = dict(iter(frame.groupby(keys if len(keys) > 1 else keys[0], dropna=False)))
    assert len(rows) == len(groups)
    for row in rows:
        key = tuple(row[k] for k in keys)
        group = groups[key if len(keys) > 1 else key[0]]
        x = group["x"].tolist()
        exact = math.fsum(x)
        assert (row["count_x"], row["count"]) == (len(x), len(x))
        assert row["sum_n"] == int(group["n"].sum())
        assert (row["min_x"], row["max_x"]) == (min(x), max(x))
        assert abs(row["sum_x"] - exact) <= 4 * math.ulp(exact)
        assert abs(row["mean_x"] - exact / len(x)) <= 4 * math.ulp(exact / len(x))
        assert row["var_x"] == pytest.approx(group["x"].var(), rel=1e-12)
        assert row["std_x"] == pytest.approx(group["x"].std(), rel=1e-12)


@pytest.fixture(scope="module")
def frame():
    return pd.read_csv(io.StringIO(sales()), dtype={"n": "Int64"})


@pytest.mark.parametrize("chunk_bytes", [None, 100_000, 7_001])
def test_the_answer_is_exact_for_any_chunking(stack, frame, chunk_bytes):
    uri = stack.write("sales.csv", sales())
    job = stack.run(spec(uri, group_by=["k", "city"], aggregates=ALL, options={"chunk_bytes": chunk_bytes}))

    assert job["state"] == "succeeded", job["error"]
    assert job["progress"]["rows"]["read"] == len(frame)
    check_all(stack.rows(job["id"]), frame, ["k", "city"])


def test_the_digest_is_the_same_for_any_chunking(stack):
    uri = stack.write("sales.csv", sales())
    digests = {
        stack.run(spec(uri, aggregates=ALL, options={"chunk_bytes": size}))["result"]["digest"]
        for size in (None, 50_000, 3_333)
    }

    assert len(digests) == 1


@pytest.mark.parametrize("how", ["gzip", "zip", "parquet", "upload"])
def test_the_answer_is_the_same_however_the_data_comes(stack, frame, how):
    text = sales().encode()
    if how == "gzip":
        uri, source = stack.write("sales.csv.gz", gzip.compress(text)), {}
    elif how == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inside.csv", text)
        uri, source = stack.write("sales.zip", packed.getvalue()), {}
    elif how == "parquet":
        packed = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(frame), packed, row_group_size=1000)
        uri, source = stack.write("sales.parquet", packed.getvalue()), {"format": "parquet"}
    else:
        uri, source = (
            stack.http.post("/v1/uploads", params={"filename": "sales.csv"}, content=text).json()["uri"],
            {},
        )
    job = stack.run(spec(uri, group_by=["k", "city"], aggregates=ALL, source=source))

    assert job["state"] == "succeeded", job["error"]
    check_all(stack.rows(job["id"]), frame, ["k", "city"])


def test_members_of_an_uploaded_zip_file_can_be_named(stack):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in {"a.csv": "k,v\na,1\n", "b.csv": "k,v\na,20\n", "README": "what it is\n"}.items():
            archive.writestr(name, text)
    uploaded = stack.http.post("/v1/uploads", params={"filename": "x.zip"}, content=packed.getvalue()).json()
    job = stack.run(spec(f"{uploaded['uri']}!/*.csv", aggregates=[{"fn": "sum", "column": "v"}]))

    assert stack.rows(job["id"]) == [{"k": "a", "sum_v": 21}]
    receipt = stack.http.get(f"/v1/jobs/{job['id']}/receipt").json()
    assert [file["uri"] for file in receipt["files"]] == [f"{uploaded['uri']}!/{n}.csv" for n in "ab"]


def test_many_files_are_one_dataset(stack):
    for i in range(5):
        stack.write(f"many/part-{i}.csv", f"k,v\na,{i}\nb,{10 * i}\n")
    job = stack.run(spec(f"file://{stack.data}/many/*.csv", aggregates=[{"fn": "sum", "column": "v"}]))

    assert stack.rows(job["id"], order_by="k") == [{"k": "a", "sum_v": 10}, {"k": "b", "sum_v": 100}]


@pytest.mark.parametrize("encoding", ["cp949", "utf-16"])
@pytest.mark.parametrize("chunk_bytes", [None, 97])
def test_an_odd_dialect_in_another_encoding_is_counted_exactly(stack, encoding, chunk_bytes):
    text = '# 메모, "\nk|n\n' + '5" 관|1\n"뷁\n|"|\\2\n# "\n\\#|3\n' * 200
    csv = {"delimiter": "|", "escape": "\\", "comment": "#", "encoding": encoding}
    uri = stack.write("odd.csv", text.encode(encoding))
    job = stack.run(
        spec(
            uri,
            aggregates=[{"fn": "count"}, {"fn": "sum", "column": "n"}],
            source={"csv": csv},
            options={"chunk_bytes": chunk_bytes},
        )
    )

    assert job["state"] == "succeeded", job["error"]
    assert job["progress"]["chunks"]["total"] > (50 if chunk_bytes and encoding == "cp949" else 0)
    assert sorted((row["k"], row["count"], row["sum_n"]) for row in stack.rows(job["id"])) == [
        ("#", 200, 600),
        ('5" 관', 200, 200),
        ("뷁\n|", 200, 400),
    ]


def test_no_keys_means_one_global_row(stack):
    job = stack.run(
        spec(stack.write("g.csv", "v\n1\n2\n4\n"), group_by=[], aggregates=[{"fn": "mean", "column": "v"}])
    )

    assert stack.rows(job["id"]) == [{"mean_v": pytest.approx(7 / 3, rel=1e-15)}]


def test_a_header_alone_gives_no_groups_and_one_global_row(stack):
    uri = stack.write("header.csv", "k,v\n")

    grouped = stack.run(spec(uri))
    whole = stack.run(spec(uri, group_by=[], aggregates=[{"fn": "count"}, {"fn": "count", "column": "v"}]))

    assert (grouped["state"], stack.rows(grouped["id"])) == ("succeeded", [])
    assert stack.rows(whole["id"]) == [{"count": 0, "count_v": 0}]


def test_integer_sums_never_wrap(stack):
    big = 2**63 - 1
    job = stack.run(
        spec(
            stack.write("big.csv", f"k,v\na,{big}\na,{big}\nb,1\n"), aggregates=[{"fn": "sum", "column": "v"}]
        )
    )

    rows = {row["k"]: int(row["sum_v"]) for row in stack.rows(job["id"])}
    assert rows == {"a": 2 * big, "b": 1}
    assert job["result"]["columns"][1] == {"name": "sum_v", "type": "decimal(38,0)"}


def test_a_numeric_sum_is_sent_with_all_its_digits(stack):
    """Decimal('1E+4') once reached the client as 1E+4."""
    big = 2**63 - 1
    job = stack.run(
        spec(
            stack.write("digits.csv", f"k,v\na,{big}\na,1\nb,10000\nc,-50000000\n"),
            aggregates=[{"fn": "sum", "column": "v"}],
        )
    )

    assert stack.rows(job["id"], order_by="k") == [
        {"k": "a", "sum_v": str(big + 1)},
        {"k": "b", "sum_v": "10000"},
        {"k": "c", "sum_v": "-50000000"},
    ]


@pytest.mark.parametrize("chunk_bytes", [None, 1, 7])
def test_a_byte_order_mark_inside_the_data_is_text(stack, chunk_bytes):
    """pyarrow drops one at the start of every buffer.

    So groups once fell together, differently for each chunk size.
    """
    uri = stack.write("bom.csv", "\ufeffs,v\n\ufeffa,1\nb,2\n\ufeffa,3\na,4\n")
    job = stack.run(spec(uri, group_by=["s"], options={"chunk_bytes": chunk_bytes}))

    assert {row["s"]: row["count"] for row in stack.rows(job["id"])} == {"\ufeffa": 2, "a": 1, "b": 1}


def test_a_reader_that_locks_a_result_holds_up_only_that_result(stack):
    uri = stack.write("locked.csv", "k\na\n")
    for name in ("locked1", "locked2"):
        stack.run(spec(uri, output={"name": name}))
    with psycopg.connect(stack.database_url) as reader:
        reader.execute("SELECT * FROM results.locked1, results.locked2")
        waiting = [stack.submit(spec(uri, output={"name": name})) for name in ("locked1", "locked2")]
        why = (
            "SELECT count(*) FROM gristmill.units"
            " WHERE kind = 'publish' AND state = 'pending' AND error ->> 'code' = 'result_locked'"
        )
        eventually(lambda: stack.sql(why)[0][0] >= 1, "the wait for the lock")
        assert stack.run(spec(uri))["state"] == "succeeded"
        assert not any(stack.job(job["id"])["done"] for job in waiting)

    assert [stack.wait(job["id"])["result"]["version"] for job in waiting] == [2, 2]


def test_a_relation_of_the_users_with_the_results_name_is_named(stack):
    stack.sql("CREATE TABLE results.taken (a int)")
    job = stack.run(spec(stack.write("t.csv", "k\na\n"), output={"name": "taken"}))

    assert (job["state"], job["error"]["code"]) == ("failed", "output_name_taken")
    assert "results.taken" in job["error"]["detail"]


def test_a_time_that_no_result_can_hold_is_named_where_it_is_read(stack):
    packed = io.BytesIO()
    pq.write_table(pa.table({"k": pa.array([2**62], pa.timestamp("us"))}), packed)
    job = stack.run(spec(stack.write("times.parquet", packed.getvalue()), source={"format": "parquet"}))

    assert (job["state"], job["error"]["code"]) == ("failed", "bad_row")
    assert "times.parquet, row 1: column 'k'" in job["error"]["detail"]
    assert "years 1 to 9999" in job["error"]["detail"]


def test_a_late_float_widens_an_integer_column_for_the_whole_dataset(stack):
    text = "k,v\n" + "a,1\n" * 60_000 + "a,0.5\n"
    job = stack.run(
        spec(
            stack.write("late.csv", text),
            aggregates=[{"fn": "sum", "column": "v"}],
            options={"chunk_bytes": 20_000},
        )
    )

    assert job["state"] == "succeeded", job["error"]
    assert stack.rows(job["id"]) == [{"k": "a", "sum_v": 60_000.5}]
    assert {"name": "v", "type": "float64"}.items() <= job["schema"][1].items()


def test_a_late_text_in_a_column_to_be_summed_is_named_with_its_place_and_the_cure(stack):
    text = (
        "k,v\n" + "a,1\n" * 22_000 + "a,NA\n" + "a,1\n" * 378_000
    )  # between two of the samples that the schema is inferred from
    job = stack.run(
        spec(
            stack.write("late.csv", text),
            aggregates=[{"fn": "sum", "column": "v"}],
            options={"chunk_bytes": 500_000},
        )
    )

    assert (job["state"], job["error"]["code"]) == ("failed", "type_mismatch")
    assert "'v' has 'NA' in the record at line 22002, byte 88004 of file://" in job["error"]["detail"]
    assert '{"v": {"type": "int64", "null_values": ["NA"]}}' in job["error"]["detail"]


def test_null_keys_and_the_two_semantics(stack):
    uri = stack.write("nulls.csv", 'k,v\na,1\n,2\n"",3\nb,\n')
    sums = [{"fn": "sum", "column": "v"}]
    sql, pandas = (
        stack.run(spec(uri, aggregates=sums)),
        stack.run(spec(uri, aggregates=sums, semantics="pandas")),
    )

    assert {row["k"]: row["sum_v"] for row in stack.rows(sql["id"])} == {"a": 1, None: 2, "": 3, "b": None}
    assert {row["k"]: row["sum_v"] for row in stack.rows(pandas["id"])} == {"a": 1, "": 3, "b": 0}
    assert pandas["progress"]["rows"]["dropped_null_key"] == 1


def test_a_named_result_is_an_ordinary_relation(stack):
    uri = stack.write("sales.csv", sales())
    job = stack.run(
        spec(
            uri,
            aggregates=[{"fn": "sum", "column": "n", "as": "total"}],
            output={"name": "by_k", "indexes": [["-total"]]},
        )
    )
    expected = {row["k"]: row["total"] for row in stack.rows(job["id"])}
    assert job["result"]["relation"] == "results.by_k"

    engine = sa.create_engine(stack.database_url.replace("postgresql://", "postgresql+psycopg://"))
    meta = sa.MetaData()
    meta.reflect(engine, schema="results", views=True)
    table = meta.tables["results.by_k"]
    with engine.connect() as connection:
        assert {row.k: row.total for row in connection.execute(sa.select(table))} == expected
        read = pd.read_sql("SELECT k, total FROM results.by_k ORDER BY k", connection)
    engine.dispose()
    assert dict(zip(read["k"], read["total"], strict=True)) == expected
    assert dict(stack.sql("SELECT k, total FROM results.by_k")) == expected
    indexes = " ".join(
        row[0] for row in stack.sql("SELECT indexdef FROM pg_indexes WHERE tablename = %s", job["id"])
    )
    assert "UNIQUE" in indexes
    assert "NULLS NOT DISTINCT" in indexes
    assert "total DESC" in indexes


def test_a_new_version_replaces_the_view_and_the_old_version_can_still_be_read(stack):
    first = stack.run(spec(stack.write("v.csv", "k\na\n"), output={"name": "versioned"}))
    second = stack.run(spec(stack.write("v.csv", "k\nb\nb\n"), output={"name": "versioned"}))

    assert (first["result"]["version"], second["result"]["version"]) == (1, 2)
    assert stack.sql("SELECT k, count FROM results.versioned") == [("b", 2)]
    assert stack.http.get("/v1/results/versioned/rows", params={"version": 1}).json()["items"] == [
        {"k": "a", "count": 1}
    ]


def test_other_columns_under_a_used_name_fail_and_leave_the_result_as_it_was(stack):
    uri = stack.write("o.csv", "k,v\na,1\n")
    stack.run(spec(uri, output={"name": "shaped"}))
    job = stack.run(spec(uri, aggregates=[{"fn": "sum", "column": "v"}], output={"name": "shaped"}))

    assert (job["state"], job["error"]["code"]) == ("failed", "output_schema_changed")
    assert stack.sql("SELECT k, count FROM results.shaped") == [("a", 1)]
    assert stack.sql("SELECT to_regclass('gristmill_results.' || %s)", job["id"]) == [(None,)]


def test_strange_column_names_and_values_survive(stack):
    names = ["SELECT", 'quo"te', "ünï cödé", "per%cent", "a.b"]
    uri = stack.write(
        "odd.csv",
        ",".join('"' + n.replace('"', '""') + '"' for n in names) + "\nx,'; DROP TABLE,\\N,null,5\n",
    )
    job = stack.run(
        spec(
            uri,
            group_by=names[:4],
            aggregates=[{"fn": "max", "column": "a.b", "as": "m$x"}],
            output={"name": "odd"},
        )
    )

    assert job["state"] == "succeeded", job["error"]
    assert stack.rows(job["id"]) == [
        dict(zip([*names[:4], "m$x"], ["x", "'; DROP TABLE", "\\N", "null", 5], strict=True))
    ]


def test_every_type_can_be_a_key_and_comes_back(stack):
    record = "true,-5,0.1,12.50,x,2024-02-29,2024-01-02 03:04:05.000006,2024-01-02T03:04:05+09:00"
    text = f"b,i,f,d,s,day,at,zoned\n{record}\n"
    names = text.split("\n", maxsplit=1)[0].split(",")
    job = stack.run(
        spec(
            stack.write("types.csv", text),
            group_by=names,
            source={
                "types": {"f": "float64", "d": "decimal(10,2)", "at": "timestamp", "zoned": "timestamptz"}
            },
        )
    )

    assert job["state"] == "succeeded", job["error"]
    types = [c["type"] for c in job["result"]["columns"]]
    assert types == [
        "bool",
        "int64",
        "float64",
        "decimal(10,2)",
        "string",
        "date",
        "timestamp",
        "timestamptz",
        "int64",
    ]
    [row] = stack.sql(
        "SELECT b, i, f, d::text, s, day::text, at::text, zoned = '2024-01-01 18:04:05+00'"
        f" FROM {job['result']['relation']}"
    )
    assert row == (True, -5, 0.1, "12.50", "x", "2024-02-29", "2024-01-02 03:04:05.000006", True)


@pytest.mark.parametrize(
    ("data", "request_", "code", "words"),
    [
        (b"", {}, "source_empty", ["empty"]),
        (b"k,v\na,1\nb\n", {}, "bad_row", ["line 3"]),
        (b"k,v\na,1\nb,2,3\n", {}, "bad_row", ["line 3"]),
        (b"k,v\n\xff\xfe,1\n", {}, "invalid_encoding", ["utf-8"]),
        (b"k,v\na,1\n", {"group_by": ["nope"]}, "unknown_column", ["nope", "k"]),
        (b"k,v\na,1\n", {"aggregates": [{"fn": "sum", "column": "k"}]}, "type_mismatch", ["k", "string"]),
        (
            b"k,v\na,1\nb,x\n",
            {"source": {"types": {"v": "int64"}}, "aggregates": [{"fn": "sum", "column": "v"}]},
            "bad_row",
            ["line 3", "'x'"],
        ),
        (
            gzip.compress(b"k,v\n" + b"a,1\n" * 1000, mtime=0)[:-20],
            {"source": {"compression": "gzip"}},
            "corrupt_file",
            ["gzip"],
        ),
        (b"PAR1 not really", {"source": {"format": "parquet"}}, "corrupt_file", ["parquet"]),
        (b"k,k\na,1\n", {}, "bad_row", ["k", "columns 1 and 2"]),
    ],
)
def test_bad_data_fails_the_job_with_what_where_and_why(stack, data, request_, code, words):
    job = stack.run(spec(stack.write("bad.bin", data), **request_))

    assert job["state"] == "failed"
    assert job["error"]["code"] == code, job["error"]
    assert [word for word in words if word.lower() not in json.dumps(job["error"]).lower()] == []
    assert stack.sql("SELECT to_regclass('gristmill_results.' || %s)", job["id"]) == [(None,)]
    assert stack.sql("SELECT count(*) FROM gristmill.partials WHERE job_id = %s", job["id"]) == [(0,)]
    assert stack.sql(
        "SELECT count(*) FROM gristmill.units WHERE job_id = %s AND state IN ('pending', 'leased')", job["id"]
    ) == [(0,)]
    answer = stack.http.get(f"/v1/jobs/{job['id']}/rows")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_result")


def test_a_missing_file_and_a_symlink_are_refused(stack):
    missing = stack.run(spec(f"file://{stack.data}/missing.csv"))
    outside = stack.folder / "outside.csv"
    outside.write_text("k\na\n")
    link = stack.data / "link.csv"
    if not link.is_symlink():
        link.symlink_to(outside)
    linked = stack.run(spec(f"file://{link}"))

    assert missing["error"]["code"] == "source_not_found"
    assert linked["error"]["code"] == "source_unreadable"


def test_more_groups_than_the_limit_fail_loudly(stack):
    text = "k\n" + "\n".join(str(i) for i in range(2000)) + "\n"
    job = stack.run(
        spec(stack.write("wide.csv", text), limits={"max_groups": 1999}, options={"chunk_bytes": 1000})
    )

    assert (job["state"], job["error"]["code"]) == ("failed", "group_limit_exceeded")


def test_a_hundred_thousand_groups_come_back_through_the_cursor(stack):
    n = 100_000
    text = "k,v\n" + "".join(f"id{i % n:07d},{i % 7}\n" for i in range(2 * n))
    job = stack.run(
        spec(
            stack.write("groups.csv", text),
            aggregates=[{"fn": "sum", "column": "v"}],
            options={"chunk_bytes": 500_000},
        )
    )
    rows = stack.rows(job["id"], order_by="-k")

    expected = pd.read_csv(io.StringIO(text)).groupby("k")["v"].sum()
    assert [row["k"] for row in rows] == list(expected.index[::-1])
    assert np.array_equal([row["sum_v"] for row in rows], expected.to_numpy()[::-1])


def test_partials_are_gone_after_publish(stack):
    job = stack.run(spec(stack.write("p.csv", "k\na\n")))

    left = "SELECT count(*) FROM gristmill.partials WHERE job_id = %s"
    eventually(lambda: stack.sql(left, job["id"]) == [(0,)], "the end of the partials")


def test_nothing_lies_in_public(stack):
    assert stack.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [(0,)]


def test_versions_beyond_those_that_the_spec_keeps_are_dropped_after_their_time(stack):
    uri = stack.write("kept.csv", "k\na\n")
    jobs = [stack.run(spec(uri, output={"name": "kept", "versions": 2})) for _ in range(4)]
    stack.sql(
        "UPDATE gristmill.versions SET published_at = published_at - interval '2 hours' WHERE name = 'kept'"
    )

    def tables():
        return [
            name
            for (name,) in stack.sql(
                "SELECT relname FROM pg_class WHERE relname = ANY(%s)", [job["id"] for job in jobs]
            )
        ]

    eventually(
        lambda: sorted(tables()) == sorted(job["id"] for job in jobs[2:]), "the end of the old versions"
    )
    assert stack.http.get("/v1/results/kept/rows", params={"version": 1}).status_code in {404, 410}
    assert stack.sql("SELECT k FROM results.kept") == [("a",)]


def test_values_too_long_for_an_index_are_the_users_to_mend(stack):
    uri = stack.write("long.csv", "k,v\na," + "".join(str(i % 7919) for i in range(20_000)) + "x\n")
    job = stack.run(spec(uri, aggregates=[{"fn": "max", "column": "v"}], output={"indexes": [["max_v"]]}))

    assert (job["state"], job["error"]["code"]) == ("failed", "group_key_too_long")


def test_far_too_many_chunks_are_refused_at_once(stack):
    uri = stack.write("crumbs.csv", "k\n" + "a\n" * 50_000)
    job = stack.run(spec(uri, options={"chunk_bytes": 1}, limits={"max_chunks": 1000}))

    assert (job["state"], job["error"]["code"]) == ("failed", "limit_exceeded")
    assert "chunk_bytes" in job["error"]["detail"]


def test_more_files_than_a_process_may_usually_open(stack):
    for i in range(1100):
        stack.write(f"crowd/{i}.csv", f"k\n{i % 3}\n")
    job = stack.run(spec(f"file://{stack.data}/crowd/*.csv"))

    assert job["state"] == "succeeded", job["error"]
    assert sum(row["count"] for row in stack.rows(job["id"])) == 1100
