"""Streams of rows in every format, against the rows themselves as psycopg reads them."""

import asyncio
import csv
import gzip
import io
import json
import math
import os
import signal
import zlib
from contextlib import suppress
from decimal import Decimal
from types import SimpleNamespace

import aiohttp
import psutil
import psycopg
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from api_service.handlers import compression
from api_service.services import encoder
from shared.db import rows as row_store
from tests.integration.test_gateway_rows import COLUMNS, ROWS
from tests.support.gateway import database, gateway, problem_of, publish, rows_of
from tests.support.stack import Stack, eventually

ARRAYS = {
    "list_n": "int64[]",
    "list_x": "float64[]",
    "list_name": "string[]",
    "list_money": "decimal(18,2)[]",
    "list_when": "timestamptz[]",
    "list_at": "timestamp[]",
    "list_day": "date[]",
    "list_ok": "bool[]",
}
ALL = COLUMNS | ARRAYS


def array_of(no: int, column: int) -> list | None:
    """The values of a column in three neighbouring rows; sometimes an empty array, sometimes null."""
    if no % 3 == 2:
        return [] if no % 2 else None
    return [ROWS[at % 7][column] for at in range(no, no + 3) if ROWS[at % 7][column] is not None]


MADE = [
    (*row, *(array_of(no, [*COLUMNS].index(name.removeprefix("list_"))) for name in ARRAYS))
    for no, row in enumerate(ROWS)
]
ARROW = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "decimal(18,2)": pa.decimal128(18, 2),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
SCHEMA = pa.schema(
    (name, pa.list_(ARROW[of[:-2]]) if of.endswith("[]") else ARROW[of]) for name, of in ALL.items()
)
READERS = {
    "parquet": lambda body: pyarrow.parquet.read_table(io.BytesIO(body)),
    "arrow": lambda body: pyarrow.ipc.open_stream(io.BytesIO(body)).read_all(),
}
MEDIA = {
    "csv": "text/csv; charset=utf-8; header=present",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}


@pytest.fixture
async def served(settings):
    """(session, path of the rows of version 1 of the result `sales`)"""
    await publish(settings, ALL, MADE, name="sales")
    async with gateway(settings) as http:
        yield http, "/v1/results/sales/rows"


async def read(http, path: str, **ask) -> bytes:
    async with http.get(path, **ask) as response:
        assert response.status == 200, await response.text()
        return await response.read()


def alike(value: object) -> object:
    """A value that equals another one with the same bits, NaN and the sign of zero included."""
    if isinstance(value, list | tuple):
        return [alike(each) for each in value]
    if isinstance(value, Decimal):
        return str(value)
    return value.hex() if isinstance(value, float) else value


QUERIES = {
    "": "SELECT {} FROM {} ORDER BY _id",
    "order_by=-money,name&limit=4&n__lte=7": (
        'SELECT {} FROM {} WHERE n <= 7 ORDER BY money DESC NULLS LAST, name COLLATE "C", _id LIMIT 4'
    ),
    "name__in=apple&name__in=": "SELECT {} FROM {} WHERE name IN ('apple', '') ORDER BY _id",
    "money__gt=1.099&day=2026-01-01&when__lt=2026-01-01T00:00:01Z&name__isnull=false": (
        "SELECT {} FROM {} WHERE money > 1.099 AND day = '2026-01-01' AND name IS NOT NULL ORDER BY _id"
    ),
    "n=5": "SELECT {} FROM {} WHERE false",
}


@pytest.mark.parametrize("form", READERS)
async def test_parquet_and_arrow_have_every_value_and_type_of_the_table(served, settings, form):
    http, path = served
    with psycopg.connect(settings.database_url) as connection:
        for query, sql in QUERIES.items():
            table = READERS[form](await read(http, f"{path}?format={form}&{query}"))

            assert table.schema.remove_metadata() == SCHEMA
            expected = connection.execute(sql.format(", ".join(f'"{n}"' for n in ALL), "results.sales"))
            assert alike([[*row.values()] for row in table.to_pylist()]) == alike(expected.fetchall()), query


@pytest.mark.parametrize("form", READERS)
async def test_the_columns_come_in_the_order_of_select(served, form):
    http, path = served
    table = READERS[form](await read(http, f"{path}?format={form}&select=list_n,_id,name&order_by=-_id"))

    assert table.column_names == ["list_n", "_id", "name"]
    assert table.column("_id").to_pylist() == [7, 6, 5, 4, 3, 2, 1]
    alone = READERS[form](await read(http, f"{path}?format={form}&select=name"))
    assert alone.column("name").to_pylist() == [row[0] for row in ROWS]


async def test_a_line_of_ndjson_is_an_item_of_a_json_page(served):
    http, path = served
    page = json.loads(await read(http, path))
    lines = (await read(http, f"{path}?format=ndjson")).decode()

    assert lines.endswith("\n")
    assert alike([[*json.loads(line).items()] for line in lines.split("\n")[:-1]]) == alike(
        [[*item.items()] for item in page["items"]]
    )
    some = await read(http, f"{path}?format=ndjson&select=n,_id&order_by=-n&limit=2")
    assert [[*json.loads(line)] for line in some.splitlines()] == [["n", "_id"]] * 2


async def test_the_sign_of_zero_and_the_type_of_whole_floats_survive_ndjson(settings):
    values = [0.0, -0.0, 1.0, -3.0, 1e15, 123456789012345.0, 5e-324, 1.7976931348623157e308, 1e22, math.pi]
    job_id = await publish(settings, {"x": "float64"}, [(value,) for value in values])
    async with gateway(settings) as http:
        lines = (await read(http, f"/v1/jobs/{job_id}/rows?format=ndjson")).splitlines()

    assert alike([json.loads(line)["x"] for line in lines]) == alike(values)


@pytest.mark.parametrize("form", MEDIA)
async def test_a_stream_is_a_file_with_a_name_and_the_accept_header_asks_for_it_too(served, form):
    http, path = served
    media = MEDIA[form].partition(";")[0]
    ending = "arrows" if form == "arrow" else form
    for ask in ({"params": {"format": form}}, {"headers": {"Accept": f"text/html;q=0.5, {media}"}}):
        async with http.get(path, **ask) as response:
            assert response.headers["Content-Type"] == MEDIA[form]
            assert response.headers["Vary"] == "Accept, Accept-Encoding"
            assert response.content_disposition.type == "attachment"
            assert response.content_disposition.filename == f"sales-v1.{ending}"
            assert (
                f"filename=\"sales-v1.{ending}\"; filename*=UTF-8''"
                in response.headers["Content-Disposition"]
            )
    async with http.head(path, params={"format": form}) as response:
        assert (response.status, await response.read()) == (200, b"")
    async with http.get(path) as response:
        assert "Content-Disposition" not in response.headers


def unpacked(coding: str | None, body: bytes) -> bytes:
    if coding == "zstd":
        return compression.zstd.decompress(body)
    return gzip.decompress(body) if coding == "gzip" else body


async def test_texts_are_compressed_as_the_client_asks_and_files_are_not(settings):
    made = [(n, f"customer {n % 7}") for n in range(20_000)]
    job_id = await publish(settings, {"n": "int64", "name": "string"}, made)
    path = f"/v1/jobs/{job_id}/rows"
    async with (
        gateway(settings) as http,
        aiohttp.ClientSession(str(http._base_url), auto_decompress=False) as raw,
    ):
        for form in ("json", *MEDIA):
            plain = None
            for accepted, coding in (
                ("identity", None),
                ("gzip", "gzip"),
                ("gzip, deflate, br, zstd", "zstd"),
                ("gzip;q=1.0, zstd;q=0.5", "gzip"),
                ("gzip;q=0, *", None),
            ):
                headers = {"Accept-Encoding": accepted}
                async with raw.get(f"{path}?format={form}&limit=10000", headers=headers) as response:
                    body = await response.read()
                expected = None if form in READERS else coding
                assert response.headers.get("Content-Encoding") == expected
                plain = plain or body
                assert unpacked(expected, body) == plain
                assert expected is None or len(body) < len(plain) / 3
        headers = {"Accept-Encoding": "gzip"}
        async with raw.get(f"{path}?limit=1", headers=headers) as response:
            assert "Content-Encoding" not in response.headers, "so small a body does not gain"


async def test_csv_for_spreadsheets_has_a_mark_and_no_formulas(settings):
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "a=1", "", None, '=HYPERLINK("x")']
    columns = {"=name": "string", "n": "int64", "list": "string[]"}
    job_id = await publish(settings, columns, [(text, -1, ["=1"]) for text in texts])
    path = f"/v1/jobs/{job_id}/rows?format=csv"
    async with gateway(settings) as http:
        plain, marked, guarded = [
            await read(http, path + more) for more in ("", "&bom=true", "&formula_guard=true")
        ]
        empty = await read(http, f"{path}&bom=true&n=5&select=n")

    assert marked == b"\xef\xbb\xbf" + plain
    assert empty == b"\xef\xbb\xbfn\r\n"
    cells = list(csv.reader(io.StringIO(guarded.decode(), newline="")))
    assert cells[0] == ["'=name", "n", "list"]
    assert [row[0] for row in cells[1:]] == [
        f"'{text}" if text and text[0] in "=+-@\t\r" else text or "" for text in texts
    ]
    assert {(row[1], row[2]) for row in cells[1:]} == {("-1", '["=1"]')}
    assert list(csv.reader(io.StringIO(plain.decode(), newline="")))[1][0] == "=1+1"


TEXTS = [
    "Äpfel",
    "äPFEL und Birnen",
    "b%_\\c",
    "B%_\\C",
    "apple",
    "",
    "say (hi) [x] ^$.*+?{}|",
    "\n\t",
    "ÿŸ",
    "ДДд",
    None,
]


@pytest.mark.parametrize(
    "needle",
    ["äpf", "%_", "_", "\\", "\\c", "a", "", "(hi) [", "^$.*+?{}|", "\n", "Ÿ", "дд", "%5", "x" * 200],
)
async def test_contains_looks_for_the_text_itself(settings, needle):
    job_id = await publish(settings, {"n": "int64", "text": "string"}, list(enumerate(TEXTS)))
    async with gateway(settings) as http:
        for operator, folded in (("contains", str), ("icontains", str.lower)):
            params = {f"text__{operator}": needle}
            async with http.get(f"/v1/jobs/{job_id}/rows", params=params) as response:
                found = [item["n"] for item in (await response.json())["items"]]
            expected = [
                n for n, text in enumerate(TEXTS) if text is not None and folded(needle) in folded(text)
            ]
            assert found == expected, (operator, needle)


async def test_a_page_tells_how_many_rows_match_if_asked(settings, monkeypatch):
    made = [(n, f"name {n % 10}") for n in range(3000)]
    job_id = await publish(settings, {"n": "int64", "name": "string"}, made)
    async with database(settings) as connection:
        await connection.execute(f"ANALYZE gristmill_results.{job_id}")
    path = f"/v1/jobs/{job_id}/rows?limit=2"
    async with gateway(settings) as http:

        async def total(query: str) -> tuple:
            page = await rows_of(http, path + query)
            return page.get("total"), page.get("total_accuracy")

        assert await total("") == await total("&total=none") == (None, None)
        assert await total("&total=exact") == await total("&total=estimate") == (3000, "exact")
        assert await total("&total=exact&name=name 3&n__lt=1000") == (100, "exact")
        assert await total("&total=exact&name=nobody") == (0, "exact")
        number, accuracy = await total("&total=estimate&name=name 3")
        assert (200 < number < 400, accuracy) == (True, "estimate")
        after = (await rows_of(http, f"{path}&name=name 3"))["next"]
        assert await total(f"&total=exact&name=name 3&after={after}") == (300, "exact")

        monkeypatch.setattr(row_store, "COUNT_SECONDS", 0.2)
        async with database(settings) as connection, connection.transaction():
            await connection.execute(f"LOCK TABLE gristmill_results.{job_id}")
            async with http.get(f"{path}&total=exact&n__gt=1") as response:
                problem = await problem_of(response)
        assert (problem["status"], problem["code"]) == (422, "count_too_slow")
        assert "total=estimate" in problem["detail"]


async def test_a_row_that_no_stream_may_have_is_named_before_anything_is_sent(settings, monkeypatch):
    job_id = await publish(settings, {"n": "int64", "text": "string"}, [(1, "a"), (2, "b")])
    async with database(settings) as connection:
        await connection.execute(
            f"ALTER TABLE gristmill_results.{job_id} ALTER text SET STORAGE EXTERNAL; "
            f"UPDATE gristmill_results.{job_id} SET text = repeat('x', 100000) WHERE n = 2"
        )
    monkeypatch.setattr(row_store, "ROW_BYTES", 99_999)
    async with gateway(settings) as http:
        for form in MEDIA:
            async with http.get(f"/v1/jobs/{job_id}/rows?format={form}") as response:
                problem = await problem_of(response)
            assert (problem["status"], problem["code"]) == (422, "row_too_large")
            assert "Row 2 " in problem["detail"]
            assert "'text' alone 100000 bytes" in problem["detail"]
            assert await read(http, f"/v1/jobs/{job_id}/rows?format={form}&n=1")
            assert await read(http, f"/v1/jobs/{job_id}/rows?format={form}&select=n")


def encoders() -> list[psutil.Process]:
    """Those that live; one may end while it is looked at."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and "api_service.encoding" in child.cmdline():
                found.append(child)
    return found


async def until(test, what: str) -> None:
    async with asyncio.timeout(20):
        while not test():
            await asyncio.sleep(0.02)
    assert test(), what


@pytest.fixture
async def large(settings):
    """The job of a result that no socket's buffers hold: 20 MB of texts that do not compress."""
    job_id = await publish(settings, {"n": "int64", "text": "string"}, [(0, "")])
    async with database(settings) as connection:
        await connection.execute(
            f"INSERT INTO gristmill_results.{job_id} "
            "SELECT g + 1, g, (SELECT string_agg(md5((g * 100 + i)::text), '') "
            "FROM generate_series(1, 30) i) FROM generate_series(1, 20000) g"
        )
    return job_id


def open_streams(connection: psycopg.Connection) -> int:
    found = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'gristmill-streams' AND state <> 'idle'"
    ).fetchone()
    return found[0]


@pytest.mark.parametrize("form", MEDIA)
async def test_a_client_that_leaves_takes_its_process_and_its_transaction_along(settings, large, form):
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        async with gateway(settings) as http:
            response = await http.get(f"/v1/jobs/{large}/rows?format={form}")
            await response.content.readexactly(1000)
            assert open_streams(connection) == 1
            assert len(encoders()) == (form in READERS)
            response.close()

            await until(lambda: open_streams(connection) == 0, "the end of the transaction")
            await until(lambda: not encoders(), "the end of the process")
            assert (await rows_of(http, f"/v1/jobs/{large}/rows?limit=1"))["items"]


@pytest.mark.parametrize("form", READERS)
async def test_a_file_whose_process_dies_is_cut_off_and_the_next_one_is_made(settings, large, form):
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        async with gateway(settings) as http:
            path = f"/v1/jobs/{large}/rows?format={form}"
            async with http.get(path) as response:
                await response.content.readexactly(1000)
                os.kill(encoders()[0].pid, signal.SIGKILL)
                with pytest.raises(aiohttp.ClientError):
                    await response.read()
            await until(lambda: open_streams(connection) == 0, "the end of the transaction")
            table = READERS[form](await read(http, path))
            assert table.column("n").to_pylist() == list(range(20_001))
            assert len(encoders()) == 1, "it waits for the next file"
            again = READERS[form](await read(http, f"{path}&limit=3"))
            assert again.column("n").to_pylist() == [0, 1, 2]
        assert encoders() == []


async def test_a_process_that_dies_before_it_has_answered_is_a_503(settings, large):
    async with gateway(settings) as http:
        asking = asyncio.create_task(http.get(f"/v1/jobs/{large}/rows?format=parquet&limit=1").__aenter__())
        await until(lambda: bool(encoders()), "the process")
        os.kill(encoders()[0].pid, signal.SIGKILL)
        problem = await problem_of(await asking)

    assert (problem["status"], problem["code"], problem["retryable"]) == (503, "encoding_failed", True)
    assert "SIGKILL" in problem["detail"]


async def test_streams_of_files_are_bounded_and_a_health_check_is_quick_meanwhile(
    settings, large, monkeypatch
):
    monkeypatch.setattr(encoder, "PERMIT_SECONDS", 0.2)
    async with gateway(settings) as http:
        paths = [f"/v1/jobs/{large}/rows?format={form}" for form in ("parquet", "arrow", "parquet")]
        held = [await http.get(path) for path in paths]
        async with asyncio.timeout(2), http.get("/livez") as response:
            assert response.status == 200
        async with http.get(paths[0]) as response:
            problem = await problem_of(response)
        assert (problem["status"], problem["code"]) == (429, "too_many_exports")
        for response in held:
            response.close()
        await until(lambda: not encoders(), "the end of the processes")
        assert await read(http, f"{paths[0]}&limit=1")


async def test_a_stream_that_postgres_breaks_is_cut_off_in_every_format_and_coding(settings, large):
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        async with gateway(settings) as http:
            for form, coding in zip((*MEDIA, "csv"), ("gzip", "zstd", *["identity"] * 3), strict=True):
                headers = {"Accept-Encoding": coding}
                async with http.get(f"/v1/jobs/{large}/rows?format={form}", headers=headers) as response:
                    await response.content.readexactly(1000)
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state <> 'idle' "
                        "AND application_name = 'gristmill-streams' AND datname = current_database()"
                    )
                    with pytest.raises((aiohttp.ClientError, zlib.error)):
                        await response.read()
            assert open_streams(connection) == 0


async def test_the_encoder_knows_no_secret(settings, large, monkeypatch):
    monkeypatch.setenv("GRISTMILL_API_KEY_OF_A_TEST", "secret")
    async with gateway(settings) as http:
        await read(http, f"/v1/jobs/{large}/rows?format=arrow&limit=1")
        (process,) = encoders()
        try:
            environment = process.environ()
        except psutil.AccessDenied:
            assert os.geteuid() != 0
            return
        assert "secret" not in environment.values()
        assert not any(settings.database_url in value for value in environment.values())


@pytest.mark.full
def test_a_killed_gateway_leaves_no_process_and_no_transaction(database_url, redis_url, tmp_path):
    stack = Stack(database_url, redis_url, tmp_path)
    try:
        process = stack.gateway()
        job_id = asyncio.run(publish(SimpleNamespace(database_url=database_url), {"n": "int64"}, []))
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                f"INSERT INTO gristmill_results.{job_id} "
                "SELECT g, g * 7919 FROM generate_series(1, 3000000::bigint) g"
            )
            with stack.http.stream("GET", f"/v1/jobs/{job_id}/rows?format=arrow") as answer:
                pieces = answer.iter_raw()
                next(pieces)
                (encoder_process,) = [
                    child
                    for child in psutil.Process(process.popen.pid).children()
                    if "api_service.encoding" in child.cmdline()
                ]
                assert open_streams(connection) == 1
                process.kill()
                eventually(lambda: not encoder_process.is_running(), "the end of the process")
                eventually(lambda: open_streams(connection) == 0, "the end of the transaction")
    finally:
        stack.close()
