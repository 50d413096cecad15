"""Rows of results by the SDK, in every form, against pandas, DuckDB and the files that were written."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet
import pytest

from gristmill import Client, DigestMismatch, Gone, InvalidRequest, NotFound
from tests.support.clients import KINDS, client_of, got, listed

FRAME = {
    "k": ["a", "b", "a", None, 'é"\n,', ""],
    "n": [2**62, 2, -3, None, 5, 0],
    "x": [0.1, math.nan, math.inf, 1e-300, None, 0.0],
    "d": [Decimal("1.10"), Decimal("-99999999.99"), None, Decimal("0.00"), Decimal("2.50"), Decimal("7.00")],
    "day": [date(2024, 2, 29), date(1, 1, 1), date(9999, 12, 31), None, date(1970, 1, 1), date(1969, 12, 31)],
    "at": [datetime.fromisoformat(f"2024-01-0{n}T00:00:00.00000{n}") for n in range(1, 7)],
    "tz": [datetime(2024, 1, n, 12, tzinfo=UTC) for n in range(1, 7)],
    "ok": [True, False, None, None, False, True],
}  # fmt: skip
SCHEMA = pa.schema(
    {
        "k": pa.string(), "n": pa.int64(), "x": pa.float64(), "d": pa.decimal128(10, 2), "day": pa.date32(),
        "at": pa.timestamp("us"), "tz": pa.timestamp("us", "UTC"), "ok": pa.bool_(),
    }
)  # fmt: skip
TABLE = pa.table(FRAME, SCHEMA)
WORDS = {
    "by": "k",
    "aggs": {
        "n": ("n", "max"), "x": ("x", "max"), "d": ("d", "sum"), "day": ("day", "min"), "at": ("at", "max"),
        "tz": ("tz", "min"), "ok": ("ok", "any"), "xs": ("x", "top", {"k": 2}), "ds": ("d", "top", {"k": 2}),
        "rows": "count",
    },
}  # fmt: skip


@pytest.fixture(params=KINDS)
async def client(request, stack):
    async with client_of(request.param, f"http://127.0.0.1:{stack.port}") as client:
        yield client


@pytest.fixture(scope="module")
def job_id(stack):
    with Client(f"http://127.0.0.1:{stack.port}", progress=False) as client:
        return client.submit(TABLE, **WORDS).wait().id


@pytest.fixture
async def result(client, job_id):
    return await got((await got(client.job(job_id))).result())


def by_duckdb() -> dict:
    """The values of each key but `tz`, which DuckDB hands out by pytz only."""
    rows = duckdb.from_arrow(TABLE).aggregate(
        'k, max(n), max(x), sum(d), min(day), max("at"), epoch_us(min(tz)), bool_or(ok), count(*)', "k"
    )
    return {row[0]: row[1:] for row in rows.fetchall()}


async def test_rows_have_the_exact_values_with_python_s_types(result):
    names = ("n", "x", "d", "day", "at", "tz", "ok", "rows")
    found = {row["k"]: tuple(row[name] for name in names) for row in await listed(result.rows())}
    judged = by_duckdb()

    assert found.keys() == judged.keys()
    for key, (*before, microseconds, ok, count) in judged.items():
        moment = datetime.fromtimestamp(microseconds / 1e6, UTC)
        assert repr(found[key]) == repr((*before, moment, ok, count)), key
    arrays = {row["k"]: (row["xs"], row["ds"]) for row in await listed(result.rows())}
    assert repr(arrays["a"]) == repr(([math.inf, 0.1], [Decimal("1.10")]))
    assert repr(arrays["b"]) == repr(([math.nan], [Decimal("-99999999.99")]))


async def test_arrow_pandas_and_polars_have_the_same_values(result):
    table = await got(result.to_arrow())
    rows = {row["k"]: row for row in await listed(result.rows())}

    assert repr({row["k"]: plain(row) for row in table.to_pylist()}) == repr(
        {k: plain(r) for k, r in rows.items()}
    )
    assert table.schema.field("d").type == pa.decimal128(38, 2)
    frame = await got(result.to_pandas())
    assert (frame["n"].dtype, frame["ok"].dtype) == (pd.Int64Dtype(), pd.BooleanDtype())
    assert frame.set_index("k")["n"]["a"] == 2**62
    polars = await got(result.to_polars())
    assert polars.filter(pl.col("k") == "a")["n"].to_list() == [2**62]


def plain(row: dict) -> dict:
    return {name: value.astimezone(UTC) if name == "tz" and value else value for name, value in row.items()}


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
async def test_a_frame_of_any_kind_gives_the_same_digest(client, result, frame):
    made = TABLE.to_pandas(types_mapper=pd.ArrowDtype) if frame is pd.DataFrame else pl.from_arrow(TABLE)
    other = await got(client.aggregate(made, **WORDS))

    assert other.digest == result.digest


async def test_filters_order_selection_and_limit_are_those_of_the_service(result):
    async def keys(filters=None, **words):
        return [row["k"] for row in await listed(result.rows(filters, **words))]

    assert await keys({"n__gte": 2}, order_by="-n") == ["a", 'é"\n,', "b"]
    assert await keys({"k": None}) == [None]
    assert await keys({"k": ["a", "b"], "ok": True}) == ["a"]
    assert await keys({"x": math.nan}) == ["b"]
    assert await keys({"day__lt": date(1970, 1, 1), "tz__gte": datetime(2024, 1, 3, tzinfo=UTC)}) == [""]
    assert await keys(order_by=["-rows", "k"], limit=2) == ["a", ""]
    assert await got(result.to_dicts({"k": "a"}, select=["rows", "k"])) == [{"rows": 2, "k": "a"}]
    assert (await got(result.to_arrow({"k": "a"}, select="rows"))).to_pylist() == [{"rows": 2}]
    assert (await got(result.to_arrow(order_by="k", limit=2)))["k"].to_pylist() == ["", "a"]
    with pytest.raises(InvalidRequest) as raised:
        await keys({"nope": 1})
    assert raised.value.code == "invalid_parameter"


async def test_pages_end_where_the_rows_do(client, monkeypatch):
    monkeypatch.setattr("gristmill.client.rows.FIRST_PAGE_ROWS", 7)
    monkeypatch.setattr("gristmill.client.rows.PAGE_ROWS", 50)
    frame = pd.DataFrame({"n": range(500)})
    result = await got(client.aggregate(frame, by="n", aggs={"x": ("n", "sum")}))

    assert sorted(row["x"] for row in await listed(result.rows())) == list(range(500))
    assert [row["n"] for row in await listed(result.rows(order_by="n", limit=60))] == list(range(60))


READERS = {
    "csv": pyarrow.csv.read_csv,
    "ndjson": pyarrow.json.read_json,
    "parquet": pyarrow.parquet.read_table,
    "arrow": lambda path: pa.ipc.open_stream(path.read_bytes()).read_all(),
}


@pytest.mark.parametrize("ending", READERS)
async def test_a_download_is_a_file_of_all_rows(result, ending, tmp_path):
    path = await got(result.download(tmp_path / f"rows.{ending}", {"k__isnull": False}, select=["k", "rows"]))

    assert sorted(READERS[ending](path)["rows"].to_pylist()) == [1, 1, 1, 2]
    assert [each.name for each in tmp_path.iterdir()] == [f"rows.{ending}"]


@pytest.mark.parametrize("ending", READERS)
async def test_a_stream_has_the_bytes_of_a_download(result, ending, tmp_path):
    path = tmp_path / "rows"
    words = {"order_by": "-rows", "select": ["k", "rows"], "limit": 2}
    path.write_bytes(b"".join(await listed(result.stream(ending, **words))))
    stored = await got(result.download(tmp_path / f"rows.{ending}", **words))

    assert READERS[ending](path) == READERS[ending](stored)
    assert READERS[ending](path)["rows"].to_pylist() == [2, 1]


async def test_a_stream_of_another_format_is_refused_when_it_is_read(result):
    blocks = result.stream("docx")
    with pytest.raises(InvalidRequest, match="format: expected one of json, csv"):
        await listed(blocks)


async def test_a_download_that_fails_leaves_the_old_file(result, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("old")
    with pytest.raises(InvalidRequest):
        await got(result.download(path, {"nope": 1}))
    with pytest.raises(ValueError, match=r"rows.txt: a name that ends with .csv"):
        await got(result.download(tmp_path / "rows.txt"))

    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"rows.csv": "old"}
    assert (await got(result.download(tmp_path / "rows.txt", format="csv"))).read_text().startswith("k,n,x")


async def test_the_digest_is_that_of_the_rows_and_finds_a_changed_one(client, stack):
    result = await got(client.aggregate(TABLE, **WORDS))
    assert await got(result.verify_digest()) == result.digest
    stack.sql(f"UPDATE {result.relation} SET n = n + 1 WHERE k = 'a'")
    with pytest.raises(DigestMismatch, match="the table was changed since it was published") as raised:
        await got(result.verify_digest())
    assert raised.value.stated == result.digest != raised.value.computed


async def test_a_result_without_rows_or_without_keys_has_a_digest(client):
    empty = await got(
        client.aggregate(TABLE, by=["k", "ok"], aggs={"n": "count"}, where="n > 100 and n < 101")
    )
    one = await got(client.aggregate(TABLE, aggs={"n": "count", "x": ("x", "min")}))

    assert (len(empty), await got(empty.to_dicts()), bool(empty)) == (0, [], True)
    assert await got(empty.verify_digest()) == empty.digest
    assert await got(one.to_dicts()) == [{"n": 6, "x": -0.0}]
    assert await got(one.verify_digest()) == one.digest


async def test_a_plot_draws_the_keys_of_the_job(result):
    mpl.use("agg")
    axes = await got(result.plot("rows", {"k__isnull": False}))

    assert sorted(bar.get_height() for bar in axes.patches) == [1, 1, 1, 2]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("k", "rows")
    axes = await got(result.plot("rows", {"k__isnull": False}, order_by="-rows"))
    assert axes.patches[0].get_height() == 2
    plt.close("all")


async def test_a_named_result_keeps_the_version_that_was_asked_for(client):
    name = f"kept_{type(client).__name__.lower()}"
    for rows in (1, 2):
        await got(client.aggregate(pa.table({"n": range(rows)}), by="n", aggs={"c": "count"}, name=name))
    current, first = await got(client.result(name)), await got(client.result(name, version=1))

    assert (current.version, len(current), first.version, len(first)) == (2, 2, 1, 1)
    assert [len(await got(each.to_dicts())) for each in (current, first)] == [2, 1]
    assert await got(first.verify_digest()) == first.digest
    assert [each.version for each in await listed(client.versions(name))] == [2, 1]
    assert name in [each.name for each in await listed(client.results())]
    with pytest.raises(LookupError, match=f"the result {name} has no version 7"):
        await got(client.result(name, version=7))

    await got(client.delete_result(name, version=1))
    with pytest.raises((NotFound, Gone)):
        await got(first.to_dicts())
    await got(client.delete_result(name))
    with pytest.raises(NotFound):
        await got(client.result(name))
