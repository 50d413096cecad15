"""Answers of a bounded size for any rows, and tables that are not as they were published."""

import csv
import io
import sys

import pytest

from shared.core.row_query import RowQuery
from shared.db import history, jobs, quarantine, row_pages, rows, versions, workers
from shared.db.pool import connect
from shared.db.versions import VersionStore
from tests.support.gateway import database, gateway, insert_job, problem_of, publish, rows_of
from tests.support.transitions import UNCHECKED

TABLE = "gristmill_results"


async def walked(http, path: str) -> tuple[list[dict], list[int]]:
    """All items, page by page, and the number of items of each page."""
    items, sizes, after = [], [], ""
    while after is not None:
        page = await rows_of(http, path + (after and f"&after={after}"))
        items += page["items"]
        sizes.append(len(page["items"]))
        after = page["next"]
    return items, sizes


async def test_a_page_ends_before_it_is_too_large_and_the_next_one_goes_on(settings, monkeypatch):
    monkeypatch.setattr(row_pages, "PAGE_BYTES", 10_000)
    made = [(n, "x" * (100 * n), [f"{n}" * 90] * (n % 5)) for n in range(60)]
    job_id = await publish(settings, {"n": "int64", "text": "string", "list": "string[]"}, made)
    async with gateway(settings) as http:
        for order in ("n", "-text", "text,-n"):
            items, sizes = await walked(http, f"/v1/jobs/{job_id}/rows?limit=50&order_by={order}")

            key = {
                "n": lambda row: row[0],
                "-text": lambda row: -len(row[1]),
                "text,-n": lambda row: len(row[1]),
            }[order]
            assert [(item["n"], item["text"], item["list"]) for item in items] == sorted(made, key=key)
            assert 50 > max(sizes) > min(sizes) >= 1
        async with http.get(f"/v1/jobs/{job_id}/rows?limit=50") as response:
            assert len(await response.read()) < 12_000


async def test_a_row_that_fits_in_no_page_is_named_with_the_way_out(settings):
    job_id = await publish(
        settings,
        {"n": "int64", "text": "string", "other": "string"},
        [(1, "a", "b"), (2, "a", "b"), (3, "a", "b")],
    )
    async with database(settings) as connection:
        await connection.execute(
            f"UPDATE {TABLE}.{job_id} SET text = repeat('xyz', 3500000), other = repeat('o', 1000) "
            "WHERE _id >= 2"
        )
    async with gateway(settings) as http:
        path = f"/v1/jobs/{job_id}/rows"
        first = await rows_of(http, path)
        assert [item["n"] for item in first["items"]] == [1]
        async with http.get(f"{path}?after={first['next']}") as response:
            problem = await problem_of(response)
        assert (problem["status"], problem["code"], problem["category"]) == (422, "row_too_large", "quota")
        for said in (
            "Row 2 ",
            "'text'",
            " 10500000 bytes",
            str(row_pages.PAGE_BYTES),
            "format=csv",
            "`select`",
            f"{TABLE}.{job_id}",
        ):
            assert said in problem["detail"]
        assert [item["n"] for item in (await rows_of(http, f"{path}?select=n,other"))["items"]] == [1, 2, 3]
        csv.field_size_limit(sys.maxsize)
        async with http.get(f"{path}?format=csv&order_by=-text") as response:
            read = list(csv.reader(io.StringIO(await response.text(), newline="")))
        assert [row[0] for row in read] == ["n", "2", "3", "1"]
        assert {row[1] for row in read[1:3]} == {"xyz" * 3_500_000}


async def test_a_cursor_is_short_however_long_the_values_that_it_stands_for(settings):
    made = [(None, 7)] * 2 + [(letter * 100_000, None) for letter in "cab"] + [("", 1), (None, None)]
    job_id = await publish(settings, {"text": "string", "n": "int64"}, made)
    async with gateway(settings) as http:
        path = f"/v1/jobs/{job_id}/rows?select=_id&limit=1&order_by=-text,n"
        items, _ = await walked(http, path)

        assert [item["_id"] for item in items] == [3, 5, 4, 6, 1, 2, 7]
        assert len((await rows_of(http, path))["next"]) < 150


async def test_no_block_of_a_stream_is_larger_than_its_pieces_whatever_a_row_holds(settings):
    job_id = await publish(settings, {"n": "int64", "text": "string"}, [(n, "") for n in range(24)])
    async with database(settings) as connection:
        await connection.execute(
            f"UPDATE {TABLE}.{job_id} SET text = repeat('äöü\"', 300000) WHERE n % 2 = 0"
        )
    pool = connect(settings.database_url, name="test", size=2)
    try:
        version = await VersionStore(pool).get("default", job_id)
        query = RowQuery(columns=("n", "text"))
        blocks = [block async for block in rows.RowStore(pool, pool).csv(version, query)]
    finally:
        await pool.close()

    csv.field_size_limit(1 << 30)
    read = list(csv.reader(io.StringIO(b"".join(blocks).decode(), newline="")))
    assert read == [[str(n), "" if n % 2 else 'äöü"' * 300_000] for n in range(24)]


CHANGES = {
    "ALTER COLUMN n TYPE text": "its column 'n' is now text, and was bigint",
    "ALTER COLUMN money TYPE numeric(30,5), ALTER COLUMN n TYPE text": (
        "'money' is now numeric(30,5), and was numeric(18,2)"
    ),
    "RENAME COLUMN n TO number": "its column 'n' is now named 'number'",
    "DROP COLUMN n": "its column 'n' was dropped",
    "RENAME TO elsewhere": "it was dropped or renamed",
}
COLUMNS = {"name": "string", "n": "int64", "money": "decimal(18,2)", "at": "timestamp"}


@pytest.mark.parametrize(("change", "said"), CHANGES.items(), ids=str)
async def test_a_table_that_was_changed_by_other_means_is_told_as_that(settings, change, said):
    job_id = await publish(settings, COLUMNS, [("a", 1, None, None)], name="sales")
    async with gateway(settings) as http:
        assert len((await rows_of(http, f"/v1/jobs/{job_id}/rows?n=1"))["items"]) == 1
        async with database(settings) as connection:
            await connection.execute(f"DROP VIEW results.sales; ALTER TABLE {TABLE}.{job_id} {change}")
        for path in (f"/v1/jobs/{job_id}/rows", "/v1/results/sales/rows"):
            for query in (
                "?n=1",
                "?n__in=1&n__in=2",
                "?n__gt=1&format=csv",
                "?n__isnull=false&order_by=n&n=3",
            ):
                async with http.get(path + query) as response:
                    problem = await problem_of(response)
                assert (problem["status"], problem["code"]) == (409, "result_changed"), problem
                assert said in problem["detail"]
                assert f"{TABLE}.{job_id}" in problem["detail"]


async def test_a_table_that_may_not_be_read_is_told_as_that(settings):
    job_id = await publish(settings, COLUMNS, [("a", 1, None, None)])
    async with database(settings) as connection:
        await connection.execute(
            f"CREATE ROLE reader_{job_id} LOGIN PASSWORD 'x'; "
            f"GRANT USAGE ON SCHEMA gristmill, {TABLE} TO reader_{job_id}"
        )
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA gristmill TO reader_{job_id}")
        await connection.execute(
            f"GRANT reader_{job_id} TO CURRENT_USER"
        )  # no superuser is every role by itself
    pool = connect(settings.database_url, name="test", size=2, settings={"role": f"reader_{job_id}"})
    try:
        version = await VersionStore(pool).get("default", job_id)
        with pytest.raises(rows.ResultChanged, match="may not read it"):
            await rows.RowStore(pool, pool).page(version, RowQuery(columns=("n",), limit=1))
    finally:
        await pool.close()
        async with database(settings) as connection:
            await connection.execute(f"DROP OWNED BY reader_{job_id}; DROP ROLE reader_{job_id}")


async def test_a_time_that_no_reader_lets_through_is_no_bug(settings):
    job_id = await publish(settings, {"day": "date", "at": "timestamp"}, [(None, None)] * 4)
    async with database(settings) as connection:
        await connection.execute(
            f"UPDATE {TABLE}.{job_id} SET"
            " day = (ARRAY['10000-01-01', '0044-03-15 BC', 'infinity', '9999-12-31'])[_id]::date,"
            " at = (ARRAY['10000-01-01', '0044-03-15 BC', '-infinity',"
            " '9999-12-31 23:59:59.999999'])[_id]::timestamp"
        )
    async with gateway(settings) as http:
        path = f"/v1/jobs/{job_id}/rows"
        for column in ("day", "at"):
            for row_id in (1, 2):
                async with http.get(f"{path}?select={column}&_id={row_id}") as response:
                    problem = await problem_of(response)
                assert (problem["status"], problem["code"]) == (409, "result_changed")
                assert "outside the years 1 to 9999" in problem["detail"]
        page = await rows_of(http, f"{path}?_id__gte=3")
        assert page["items"] == [
            {"day": None, "at": None},
            {"day": "9999-12-31", "at": "9999-12-31T23:59:59.999999"},
        ]
        async with http.get(f"{path}?format=csv") as response:
            assert [line.split(",") for line in (await response.text()).split("\r\n")[1:5]] == [
                ["10000-01-01", "10000-01-01 00:00:00"],
                ["0044-03-15 BC", "0044-03-15 00:00:00 BC"],
                ["infinity", "-infinity"],
                ["9999-12-31", "9999-12-31T23:59:59.999999"],
            ]
        walk, after = [], ""
        while after is not None:
            page = await rows_of(http, f"{path}?select=_id&order_by=-at&limit=1{after and '&after=' + after}")
            walk += [item["_id"] for item in page["items"]]
            after = page["next"]
        assert walk == [1, 4, 2, 3]


async def test_lists_of_jobs_and_results_end_before_they_are_too_large(settings, monkeypatch):
    wide = {f"column_{no}_{'x' * 40}": "int64" for no in range(200)}
    names = [f"r{no}" for no in range(8)]
    ids = [
        await publish(settings, wide if no % 3 == 0 else {"n": "int64"}, [], name=name)
        for no, name in enumerate(names)
    ]
    async with gateway(settings) as http:
        for most, pages in ((2**22, [8]), (2**22, [3, 3, 2]), (20_000, None), (1, [1] * 8)):
            for module in (jobs, versions):
                monkeypatch.setattr(module, "LIST_BYTES", most)
            limit = 3 if pages == [3, 3, 2] else 100
            found, sizes = await walked(http, f"/v1/jobs?limit={limit}")
            assert [job["id"] for job in found] == ids[::-1]
            assert all(job["result"]["current"] for job in found)
            results, sizes_of_results = await walked(http, f"/v1/results?limit={limit}")
            assert [result["name"] for result in results] == names
            if pages is not None:
                assert (sizes, sizes_of_results) == (pages, pages)
            else:
                assert 1 < len(sizes) < 8 > len(sizes_of_results) > 1
        async with http.get("/v1/results?after=A") as response:
            assert (response.status, (await problem_of(response))["code"]) == (400, "invalid_cursor")


LONG_LISTS = """
INSERT INTO gristmill.job_events (job_id, no, at, event, said)
SELECT id, no, now(), 'attempt_failed',
       json_build_object('kind', 'chunk', 'no', no, 'attempt', 1, 'worker', 'w', 'error', json_build_object(
           'code', 'x', 'category', 'user', 'retryable', false, 'errors', json_build_array(),
           'detail', repeat('x', 1000)))
FROM gristmill.jobs, generate_series(2, 13) no;
INSERT INTO gristmill.units (job_id, kind, no, epoch, state, state_version, worker, leased_at, deadline_at)
SELECT id, 'chunk', no, 1, 'leased', 1, 'w' || no % 4, now(), now()
FROM gristmill.jobs, generate_series(2, 61) no;
INSERT INTO gristmill.workers (id, host, pid, version, slots)
SELECT 'w' || no, 'h', 1, '0', 1 FROM generate_series(0, 3) no;
INSERT INTO gristmill.quarantine (job_id, epoch, chunk, no, extent, uri, reason, record, truncated)
SELECT id, 1, no % 3, no, 0, 'file:///a', 'bad', repeat('x', 1000), false
FROM gristmill.jobs, generate_series(1, 12) no;
"""


async def test_lists_of_a_job_and_of_workers_end_before_they_are_too_large(settings, monkeypatch):
    job_id = await insert_job(settings)
    async with database(settings) as connection:
        await connection.execute(UNCHECKED)
        await connection.execute(LONG_LISTS)
    async with gateway(settings) as http:
        for path, count in {
            f"/v1/jobs/{job_id}/history": 13,
            f"/v1/jobs/{job_id}/units": 61,
            f"/v1/jobs/{job_id}/quarantine": 12,
            "/v1/workers": 4,
        }.items():
            monkeypatch.undo()
            whole, sizes = await walked(http, f"{path}?limit=100")
            assert sizes == [count]
            for most in (4000, 1):
                for module in (history, jobs, quarantine, workers):
                    monkeypatch.setattr(module, "LIST_BYTES", most)
                found, sizes = await walked(http, f"{path}?limit=100")
                assert [known(item) for item in found] == [known(item) for item in whole]
                assert len(sizes) > 1
                assert most > 1 or max(sizes) == 1 or "units" in path, "units that never failed take nothing"


def known(item: dict) -> dict:
    """What does not change with the time of the question."""
    return {name: value for name, value in item.items() if name not in {"ms", "silent_ms"}}
