"""Rows over HTTP against plain Python over the same rows: filters, order, paging, JSON and CSV."""
# ruff: noqa: DTZ001  # the type `timestamp` has no zone

import base64
import csv
import io
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from tests.support.gateway import all_names, gateway, problem_of, publish, rows_of

COLUMNS = {
    "name": "string",
    "n": "int64",
    "x": "float64",
    "money": "decimal(18,2)",
    "ok": "bool",
    "day": "date",
    "at": "timestamp",
    "when": "timestamptz",
}
FIRST, NEW_YEAR = date(2026, 1, 1), datetime(2026, 1, 1)
NEW_YEAR_UTC = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, MICROS = timedelta(seconds=1), timedelta(microseconds=5)
YEAR_BEFORE = datetime(2025, 1, 1, tzinfo=UTC)
IN_SEOUL = datetime(2026, 1, 1, 5, tzinfo=timezone(timedelta(hours=9)))
ROWS = [
    ("Äpfel", 1, 1.5, Decimal("1.10"), True, FIRST, NEW_YEAR + SECOND, NEW_YEAR_UTC),
    ("apple", 2**63 - 1, math.nan, Decimal("-0.05"), False, date(1969, 12, 31), NEW_YEAR, YEAR_BEFORE),
    ("", -(2**63), math.inf, Decimal("9999999999999999.99"), None, None, None, None),
    (None, None, None, None, None, None, None, None),
    ('say "hi", you\r\n=1+1', 0, -math.inf, Decimal(0), True, date(2026, 1, 2), NEW_YEAR + MICROS, IN_SEOUL),
    ("b%_\\", 7, 0.1, Decimal("1.10"), False, FIRST, NEW_YEAR + SECOND, NEW_YEAR_UTC),
    (None, 7, 1e300, Decimal("2.00"), True, None, None, None),
]  # fmt: skip


@pytest.fixture
async def served(settings):
    """(session, path of the rows of a job with ROWS)"""
    job_id = await publish(settings, COLUMNS, ROWS)
    async with gateway(settings) as http:
        yield http, f"/v1/jobs/{job_id}/rows"


async def test_a_page_shows_every_type_without_loss(served):
    http, path = served
    page = await rows_of(http, path)

    assert page["columns"] == [{"name": name, "type": kind} for name, kind in COLUMNS.items()]
    assert (page["next"], page["version"]) == (None, None)
    assert page["items"][0] == {
        "name": "Äpfel",
        "n": 1,
        "x": "1.5",
        "money": "1.10",
        "ok": True,
        "day": "2026-01-01",
        "at": "2026-01-01T00:00:01",
        "when": "2026-01-01T00:00:00Z",
    }
    assert [item["n"] for item in page["items"]] == [row[1] for row in ROWS]
    assert [item["x"] for item in page["items"]][1:5] == [None, None, None, None]
    assert [item["money"] for item in page["items"]] == [
        None if row[3] is None else f"{row[3]:.2f}" for row in ROWS
    ]


def truth(test):
    """The `n` of the rows for which SQL's three-valued *test* is true, with None for unknown."""
    return [row[1] for row in ROWS if test(dict(zip(COLUMNS, row, strict=True))) is True]


def known(column, test):
    return lambda row: None if row[column] is None else test(row[column])


AT = datetime(2026, 1, 1, 0, 0, 1)


FILTERS = [
    ("name=apple", known("name", lambda v: v == "apple")),
    ("name=", known("name", lambda v: v == "")),
    ("name__exact=%C3%84pfel", known("name", lambda v: v == "Äpfel")),
    ("name__ne=apple", lambda row: row["name"] != "apple"),
    ("name__in=apple&name__in=", known("name", lambda v: v in {"apple", ""})),
    ("name__startswith=b%25_", known("name", lambda v: v.startswith("b%_"))),
    ("name__startswith=_", known("name", lambda v: v.startswith("_"))),
    ("name__gt=apple", known("name", lambda v: v.encode() > b"apple")),
    ("name__lt=b", known("name", lambda v: v.encode() < b"b")),
    ("name__isnull=true", lambda row: row["name"] is None),
    ("name__isnull=false&n=7", lambda row: row["name"] is not None and row["n"] == 7),
    ("n=9223372036854775807", known("n", lambda v: v == 2**63 - 1)),
    ("n__gte=0&n__lt=7", known("n", lambda v: 0 <= v < 7)),
    ("n__in=7&n__in=1", known("n", lambda v: v in {1, 7})),
    ("x__gt=1.5", known("x", lambda v: v > 1.5 or math.isnan(v))),
    ("x=nan", known("x", math.isnan)),
    ("x=-inf", known("x", lambda v: v == -math.inf)),
    ("money=1.1", known("money", lambda v: v == Decimal("1.1"))),
    ("money__gt=1.099&money__lt=1.101", known("money", lambda v: Decimal("1.099") < v < Decimal("1.101"))),
    ("money__lte=-0.049", known("money", lambda v: v <= Decimal("-0.049"))),
    ("ok=true", known("ok", lambda v: v)),
    ("ok__ne=true", lambda row: row["ok"] is not True),
    ("day=2026-01-01", known("day", lambda v: v == date(2026, 1, 1))),
    ("at__gte=2026-01-01T00:00:01", known("at", lambda v: v >= AT)),
    ("at__lt=2026-01-01%2000:00:00.000006", known("at", lambda v: v < datetime(2026, 1, 1, 0, 0, 0, 6))),
    ("when=2026-01-01T09:00:00%2B09:00", known("when", lambda v: v == datetime(2026, 1, 1, tzinfo=UTC))),
    ("when__lt=2026-01-01T00:00Z", known("when", lambda v: v < datetime(2026, 1, 1, tzinfo=UTC))),
    ("_id=4", lambda row: row["name"] is None and row["n"] is None),
]


async def test_a_filter_keeps_the_rows_that_plain_python_keeps(served):
    http, path = served
    for query, test in FILTERS:
        expected = truth(test)
        assert 0 < len(expected) < len(ROWS) or "startswith=_" in query

        assert await all_names(http, f"{path}?{query}") == expected, query


def sort_key(value):
    """Texts by their bytes, NaN above every number."""
    if isinstance(value, float):
        return math.isnan(value), 0.0 if math.isnan(value) else value
    return value.encode() if isinstance(value, str) else value


def ordered(terms: list[str]) -> list[int]:
    """1-based numbers of ROWS in the order of *terms*, nulls last: by a stable sort for each term."""
    numbers = list(range(len(ROWS)))
    for term in reversed(terms):
        values = [row[list(COLUMNS).index(term.removeprefix("-"))] for row in ROWS]
        filled = [i for i in numbers if values[i] is not None]
        filled.sort(key=lambda i: sort_key(values[i]), reverse=term.startswith("-"))  # used before it changes
        numbers = filled + [i for i in numbers if values[i] is None]
    return [i + 1 for i in numbers]


ORDERS = [[c] for c in COLUMNS] + [["-" + c] for c in COLUMNS]
ORDERS += [["money", "-name"], ["-ok", "day", "-n"], ["name", "x"], ["-ok", "day", "-at", "money", "when"]]


@pytest.mark.parametrize("limit", [1, 3])
async def test_pages_of_any_size_and_order_join_to_the_whole(served, limit):
    http, path = served
    for terms in ORDERS:
        numbers, after = [], ""
        while after is not None:
            page = await rows_of(
                http,
                f"{path}?select=_id&order_by={','.join(terms)}&limit={limit}{after and '&after=' + after}",
            )
            assert 0 < len(page["items"]) <= limit
            numbers += [item["_id"] for item in page["items"]]
            after = page["next"]

        assert numbers == ordered(terms), terms


async def test_select_shows_the_named_columns_in_their_order(served):
    http, path = served
    page = await rows_of(http, f"{path}?select=n,name&order_by=-x&limit=1")

    assert page["items"] == [{"n": 2**63 - 1, "name": "apple"}]
    assert page["columns"] == [{"name": "n", "type": "int64"}, {"name": "name", "type": "string"}]


@pytest.mark.parametrize(
    "ask",
    [
        {"params": {"format": "csv"}},
        {"headers": {"Accept": "text/html;q=0.9, text/csv, application/json;q=0.8"}},
    ],
)
async def test_csv_is_rfc_4180_and_tells_null_from_empty(served, ask):
    http, path = served
    async with http.get(path, **ask) as response:
        body = await response.read()

    assert response.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    read = list(csv.reader(io.StringIO(body.decode(), newline="")))
    assert read[0] == list(COLUMNS)
    assert [row[0] for row in read[1:]] == [row[0] or "" for row in ROWS]
    assert [row[1] for row in read[1:]] == ["" if row[1] is None else str(row[1]) for row in ROWS]
    assert [row[4] for row in read[1:]] == [{True: "true", False: "false", None: ""}[row[4]] for row in ROWS]
    assert [row[2] for row in read[1:]] == ["1.5", "NaN", "Infinity", "", "-Infinity", "0.1", "1e+300"]
    assert [row[7] for row in read[1:]][4] == "2025-12-31T20:00:00.000000Z"
    assert body.endswith(b"\r\n")
    lines = body.split(b"\r\n")
    assert lines[3].startswith(b'"",-9223372036854775808,')
    assert lines[4] == b",,,,,,,"


async def test_csv_streams_everything_unless_limited(settings):
    job_id = await publish(settings, {"n": "int64"}, [(n,) for n in range(25_000)])
    async with gateway(settings) as http:
        async with http.get(f"/v1/jobs/{job_id}/rows?format=csv&order_by=-n") as response:
            assert (await response.text()).split() == ["n", *map(str, range(24_999, -1, -1))]
        async with http.get(f"/v1/jobs/{job_id}/rows?format=csv&limit=3&n__gte=10") as response:
            assert (await response.text()).split() == ["n", "10", "11", "12"]
        async with http.head(f"/v1/jobs/{job_id}/rows?format=csv") as response:
            assert (response.status, await response.read()) == (200, b"")


async def test_a_csv_of_no_rows_has_its_header(settings):
    job_id = await publish(settings, {"a,b": "string", 'c"': "int64"}, [])
    async with gateway(settings) as http:
        async with http.get(f"/v1/jobs/{job_id}/rows", params={"format": "csv"}) as response:
            assert await response.text() == '"a,b","c"""\r\n'
        assert (await rows_of(http, f"/v1/jobs/{job_id}/rows"))["items"] == []


async def test_columns_of_any_name_can_be_filtered_ordered_and_selected(settings):
    names = ["limit", "a,b", 'quo"te', "$1", "100%", "n__gt", "it's; DROP TABLE x --", "-minus"]
    job_id = await publish(settings, dict.fromkeys(names, "int64"), [tuple(range(8)), tuple(range(8, 16))])
    async with gateway(settings) as http:
        for no, name in enumerate(names):
            params = [(f"{name}__exact", str(no)), ("select", name), ("order_by", name)]
            async with http.get(f"/v1/jobs/{job_id}/rows", params=params) as response:
                assert (await response.json()).get("items") == [{name: no}], await response.text()
            async with http.get(f"/v1/jobs/{job_id}/rows", params=[*params, ("format", "csv")]) as response:
                assert list(csv.reader(io.StringIO(await response.text()))) == [[name], [str(no)]]


BAD_QUERIES = [
    ("limit=-1", "limit"),
    ("limit=10001", "limit"),
    ("limit=", "limit"),
    ("colour=red", "colour"),
    ("n__like=1", "n__like"),
    ("n=one", "n"),
    ("n=1.5", "n"),
    ("n=9223372036854775808", "n"),
    ("n=", "n"),
    ("n__in=1&n__in=x", "n__in"),
    ("n__startswith=1", "n__startswith"),
    ("n__isnull=yes", "n__isnull"),
    ("x=1e999", "x"),
    ("money=1e5", "money"),
    ("ok=1", "ok"),
    ("day=2026-02-30", "day"),
    ("at=2026-01-01T00:00:00Z", "at"),
    ("when=2026-01-01T00:00:00", "when"),
    ("when=2026-01-01T00:00:00+09:00", "when"),
    ("name=%00", "name"),
    ("order_by=colour", "order_by"),
    ("order_by=n,-n", "order_by"),
    ("order_by=", "order_by"),
    ("select=colour", "select"),
    ("format=xml", "format"),
    ("version=1", "version"),
    ("total=all", "total"),
    ("total=exact&format=csv", "total"),
    ("numbers=text", "numbers"),
    ("bom=true", "bom"),
    ("bom=1&format=csv", "bom"),
    ("formula_guard=true&format=ndjson", "formula_guard"),
    ("n__contains=1", "n__contains"),
    ("day__icontains=1", "day__icontains"),
    (f"name__icontains={'x' * 201}", "name__icontains"),
]


async def test_a_bad_row_parameter_is_named(served):
    http, path = served
    for query, parameter in BAD_QUERIES:
        async with http.get(f"{path}?{query}") as response:
            problem = await problem_of(response)

        assert (problem["status"], problem["code"]) == (422, "invalid_parameter"), query
        assert [error["parameter"] for error in problem["errors"]] == [parameter]


async def test_a_type_of_answer_that_there_is_not_is_not_acceptable(served):
    http, path = served
    async with http.get(path, headers={"Accept": "application/xml"}) as response:
        assert (response.status, (await problem_of(response))["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize(
    "after", ["x", "", "AAAA", "é", base64.urlsafe_b64encode(b'["job_x","0",["1"]]').decode().rstrip("=")]
)
async def test_a_made_up_cursor_is_refused(served, after):
    http, path = served
    async with http.get(path, params={"after": after}) as response:
        assert (response.status, (await problem_of(response))["code"]) == (400, "invalid_cursor")


async def test_a_cursor_serves_only_the_query_that_it_came_from(served):
    http, path = served
    after = (await rows_of(http, f"{path}?limit=2&order_by=n&n__gt=0"))["next"]

    assert (
        len((await rows_of(http, f"{path}?limit=5&order_by=n&n__gt=0&select=x&after={after}"))["items"]) == 2
    )
    for query in ("order_by=-n&n__gt=0", "order_by=n", "order_by=n&n__gt=1"):
        async with http.get(f"{path}?{query}&after={after}") as response:
            assert (response.status, (await problem_of(response))["code"]) == (400, "invalid_cursor")
