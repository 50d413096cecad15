"""The pages of results: rows with their sorting, filters and chart, versions, and what is not there."""

import html
import json
import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from api_service.auth.sessions import COOKIE, token
from api_service.dashboard.charts import MOST_BARS
from shared.db import rows as row_store
from tests.integration.test_dashboard_signing import OWNER, as_session, make_key, origin, sign_in
from tests.support.gateway import finish_job, gateway, insert_job, publish

SCRIPT = "<script>alert(1)</script>"
COUNTRIES = {"country": "string", "revenue": "decimal(38,2)", "n": "int64"}
SALES = [
    ("KR", Decimal("12345678901234567890.10"), 2**63 - 1),
    ("DE", Decimal("-0.50"), 7),
    ("", Decimal("3.00"), None),
    (None, None, 1),
    (SCRIPT, Decimal("10.00"), 5),
]


class Page(HTMLParser):
    """Rows of cells, their texts joined, and the links by their texts and labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.links: dict[str, str] = {}
        self.marked: set[tuple[str, str]] = set()
        self._cell: list[str] | None = None
        self._link: str | None = None
        self._class = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self._class = given.get("class") or ""
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self._cell = []
        elif tag == "a":
            self._link = given["href"]
            if "aria-label" in given:
                self.links[given["aria-label"]] = self._link

    def handle_endtag(self, tag):
        if tag in {"td", "th"}:
            self.tables[-1][-1].append("".join(self._cell).strip())
            self._cell = None
        elif tag == "a":
            self._link = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell.append(data)
            self.marked.add((self._class, data))
        if self._link is not None:
            self.links.setdefault(data.strip(), self._link)

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the table of rows, which is the last one."""
        return self.tables[-1][1:]


async def read(http, path: str, status: int = 200, **headers: str) -> str:
    async with http.get(path, headers=headers) as response:
        text = await response.text()
        assert response.status == status, text
        assert "script-src 'self'" in response.headers["Content-Security-Policy"]
        return text


@pytest.fixture
async def sales(settings):
    """A session with a gateway that has the result `sales`."""
    await publish(settings, COUNTRIES, SALES, name="sales")
    async with gateway(settings) as http:
        yield http


async def test_the_list_has_each_result_with_its_size(settings, sales):
    await publish(settings, {"k": "int64"}, [], name="empty")
    page = Page(await read(sales, "/results"))
    assert [row[:4] for row in page.rows] == [["empty", "0", "1", "1"], ["sales", "5", "3", "1"]]
    assert page.links["sales"] == "/results/sales"


async def test_without_results_the_list_says_how_to_make_one(settings):
    async with gateway(settings) as http:
        assert "No result was published yet" in await read(http, "/results")


async def test_a_list_of_many_results_has_pages(settings):
    names = [f"r{no:02}" for no in range(53)]
    for name in names:
        await publish(settings, {"k": "int64"}, [], name=name)
    async with gateway(settings) as http:
        page, found = Page(await read(http, "/results")), []
        found += [row[0] for row in page.rows]
        page = Page(await read(http, page.links["Next"]))
        assert found + [row[0] for row in page.rows] == names
        assert "Next" not in page.links


async def test_results_are_found_by_a_part_of_their_names(settings):
    names = [f"r{no:02}_of_sales" for no in range(53)]
    for name in [*names, "stock"]:
        await publish(settings, {"k": "int64"}, [], name=name)
    async with gateway(settings) as http:
        assert [row[0] for row in Page(await read(http, "/results?name=toc")).rows] == ["stock"]
        page = Page(await read(http, "/results?name=+Of_Sales"))
        found = [row[0] for row in page.rows]
        page = Page(await read(http, page.links["Next"]))
        assert found + [row[0] for row in page.rows] == names
        assert Page(await read(http, page.links["First"])).rows[0][0] == names[0]
        for none in ("%", "_x", SCRIPT):
            text = await read(http, f"/results?name={quote(none)}")
            assert "No result has a name with" in text
            assert SCRIPT not in text
        await read(http, "/results?name=a%00b", status=422)


async def test_cells_have_every_digit_and_nulls_look_unlike_texts(sales):
    page = Page(await read(sales, "/results/sales"))
    assert page.rows == [
        ["KR", "12345678901234567890.10", str(2**63 - 1)],
        ["DE", "-0.50", "7"],
        ["empty text", "3.00", "null"],
        ["null", "null", "1"],
        [SCRIPT, "10.00", "5"],
    ]
    assert {("null", "null"), ("blank", "empty text")} <= page.marked
    assert SCRIPT not in await read(sales, "/results/sales")


async def test_a_heading_sorts_both_ways_and_keeps_the_filters(sales):
    page = Page(await read(sales, "/results/sales?revenue__gte=0"))
    up = page.links["Sort by revenue, ascending"]
    down = page.links["Sort by revenue, descending"]
    assert up == "/results/sales?revenue__gte=0&order_by=revenue"
    assert [row[1] for row in Page(await read(sales, up)).rows] == [
        "3.00",
        "10.00",
        "12345678901234567890.10",
    ]
    text = await read(sales, down)
    assert [row[1] for row in Page(text).rows] == ["12345678901234567890.10", "10.00", "3.00"]
    assert text.count('aria-sort="descending"') == 1


async def test_the_form_becomes_the_words_of_the_api(sales):
    lines = (("country", "in", "KR"), ("country", "in", "DE"), ("", "exact", ""))
    sent = "&".join(f"column={column}&operator={operator}&value={value}" for column, operator, value in lines)
    async with sales.get(
        f"/results/sales/filter?{sent}&order_by=n&chart=n", allow_redirects=False
    ) as response:
        assert response.status == 303
        shown = response.headers["Location"]
    assert shown == "/results/sales?country__in=KR&country__in=DE&order_by=n&chart=n"
    page = Page(await read(sales, shown))
    assert [row[0] for row in page.rows] == ["DE", "KR"]


@pytest.mark.parametrize(
    ("sent", "status", "place"),
    [
        ("column=n&operator=isnull&value=", 303, "?n__isnull=true"),
        ("column=n&operator=isnull&value=false", 303, "?n__isnull=false"),
        ("column=country&operator=exact&value=", 303, "?country="),
        ("", 303, ""),
        ("column=n&operator=odd&value=1", 422, "expected one of exact"),
        ("column=n&value=1", 422, "each filter has a column, an operator and a value"),
        ("colour=red", 422, "unknown parameter"),
    ],
)
async def test_forms_become_urls_and_odd_ones_are_refused(sales, sent, status, place):
    async with sales.get(f"/results/sales/filter?{sent}", allow_redirects=False) as response:
        assert response.status == status
        found = response.headers.get("Location") or await response.text()
        assert found == f"/results/sales{place}" if status == 303 else place in found


async def test_a_key_of_one_job_reads_its_rows_and_no_result(settings):
    closed = settings.model_copy(update={"api_key": SecretStr(OWNER)})
    job, other = [await publish(settings, COUNTRIES, SALES, name=name) for name in ("its", "other")]
    async with gateway(closed) as http:
        async with http.post(
            "/v1/keys", json={"scopes": ["read"], "job": job}, headers={"Authorization": f"Bearer {OWNER}"}
        ) as response:
            session = as_session(await sign_in(http, (await response.json())["key"]))
        assert len(Page(await read(http, f"/jobs/{job}/rows", **session)).rows) == len(SALES)
        await read(http, f"/jobs/{other}/rows", 404, **session)
        await read(http, "/results/its", 403, **session)


async def test_a_wrong_filter_is_told_beside_the_form_that_has_it(sales):
    text = await read(sales, "/results/sales?n__gte=many", 422)
    assert "is not a whole number of 64 bits" in html.unescape(text)
    assert 'value="many"' in text
    assert "12345678901234567890" not in text
    assert "there is no column" in await read(sales, "/results/sales?order_by=nothing", 422)
    assert "no column of numbers" in await read(sales, "/results/sales?chart=country", 422)
    assert "links to the downloads" in await read(sales, "/results/sales?format=csv", 422)


async def test_pages_of_rows_follow_each_other(settings):
    rows = [(no, no % 7) for no in range(250)]
    await publish(settings, {"k": "int64", "n": "int64"}, rows, name="many")
    expected = [str(k) for k, n in sorted(rows, key=lambda row: -row[1]) if n != 3]
    async with gateway(settings) as http:
        path, found, pages = "/results/many?order_by=-n&n__ne=3", [], 0
        while path:
            page = Page(await read(http, path))
            found += [row[0] for row in page.rows]
            path, pages = page.links.get("Next rows"), pages + 1
        assert (found, pages) == (expected, 3)
        assert page.links["First rows"] == "/results/many?order_by=-n&n__ne=3"


async def test_the_rows_that_match_are_estimated_or_counted(settings):
    await publish(settings, {"k": "int64"}, [(no,) for no in range(250)], name="counted")
    async with gateway(settings) as http:
        assert "250 rows" in await read(http, "/results/counted")
        text = await read(http, "/results/counted?k__lt=20")
        assert "as Postgres estimates" in text
        assert "20 rows match" in await read(http, Page(text).links["Count them"])
        assert "Postgres estimates" not in await read(http, "/results/counted?k__lt=20&total=none")


async def test_the_links_of_a_counted_page_do_not_count_again(settings):
    await publish(settings, {"k": "int64", "n": "int64"}, [(no, no) for no in range(30)], name="once")
    async with gateway(settings) as http:
        text = await read(http, "/results/once?k__lt=20&total=exact&limit=5")
        assert "20 rows match" in text
        page = Page(text)
        assert page.links["Sort by n, ascending"] == "/results/once?k__lt=20&limit=5&order_by=n"
        assert "total" not in page.links["Next rows"]
        assert 'name="total"' not in text


async def test_rows_are_shown_without_a_count_that_takes_too_long(settings, monkeypatch):
    await publish(settings, {"k": "int64"}, [(no,) for no in range(30)], name="slow")
    monkeypatch.setattr(row_store, "COUNT_SECONDS", 0.2)
    monkeypatch.setattr(row_store, "count_statement", lambda *_: ("SELECT pg_sleep(60)", []))
    async with gateway(settings) as http:
        page = await read(http, "/results/slow?k__lt=20&total=exact")
    assert "The rows that match are not counted. Counting the rows" in page
    assert [row[0] for row in Page(page).rows] == [str(no) for no in range(20)]


async def test_rows_are_shown_without_a_chart_that_takes_too_long(settings, monkeypatch):
    await publish(settings, {"k": "string", "n": "int64"}, [("a", 1), ("b", 2)], name="huge")
    page_statement = row_store.page_statement
    monkeypatch.setattr("api_service.app.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(
        row_store,
        "page_statement",
        lambda version, query: (
            ("SELECT pg_sleep(60)", []) if query.limit == MOST_BARS else page_statement(version, query)
        ),
    )
    async with gateway(settings) as http:
        page = await read(http, "/results/huge?chart=n")
        await read(http, "/results/huge?chart=nothing", status=422)
    assert "The chart is left out. Postgres" in page
    assert Page(page).rows == [["a", "1"], ["b", "2"]]


async def test_downloads_have_the_filters_of_the_page_and_its_version(settings, sales):
    page = Page(await read(sales, "/results/sales?revenue__gte=5&order_by=-revenue&select=country&limit=1"))
    await publish(settings, COUNTRIES, [], name="sales")
    async with sales.get(page.links["CSV"]) as response:
        assert (await response.text()).splitlines() == ["country", "KR", SCRIPT]
    async with sales.get(page.links["JSON"]) as response:
        assert json.loads(await response.text())["items"] == [{"country": "KR"}, {"country": SCRIPT}]
    async with sales.get(page.links["CSV for spreadsheets"]) as response:
        assert (await response.read()).startswith(b"\xef\xbb\xbfcountry")
    for name, media in (("Parquet", "parquet"), ("Arrow", "arrow"), ("NDJSON", "ndjson")):
        async with sales.get(page.links[name]) as response:
            assert (response.status, media in response.content_type) == (200, True)


async def test_a_long_text_is_cut_and_can_be_read_whole(settings):
    texts = ["short", "m" * 81, "x" * 3000 + "end"]
    await publish(settings, {"a,b": "string"}, [(text,) for text in texts], name="long")
    async with gateway(settings) as http:
        page = Page(await read(http, "/results/long"))
        assert page.rows[1][0].startswith("m" * 80 + "…" + "m" * 81)
        assert page.rows[2][0].startswith("x" * 80 + "…" + "x" * 2000 + "…")
        async with http.get(page.links["The whole text"]) as response:
            assert json.loads(await response.text()) == {"a,b": texts[2]}


async def test_values_of_every_type_are_shown_as_they_are(settings):
    columns = {
        "b": "bool", "f": "float64", "day": "date", "at": "timestamp", "seen": "timestamptz",
        "tops": "string[]", "sizes": "decimal(5,1)[]",
    }  # fmt: skip
    noon = datetime(2024, 1, 2, 12)  # noqa: DTZ001  # a time without a zone
    rows = [
        (True, 0.1, date(2024, 1, 2), noon, noon.replace(tzinfo=UTC), ["a", 'b"'], [Decimal("1.0")]),
        (False, math.nan, None, None, None, [], None),
        (None, -math.inf, None, None, None, None, None),
    ]
    await publish(settings, columns, rows, name="typed")
    async with gateway(settings) as http:
        text = await read(http, "/results/typed")
        assert Page(text).rows == [
            [
                "true",
                "0.1",
                "2024-01-02",
                "2024-01-02T12:00:00",
                "2024-01-02T12:00:00Z",
                '["a", "b\\""]',
                "[1.0]",
            ],
            ["false", "NaN", "null", "null", "null", "[]", "null"],
            ["null", "-Infinity", *["null"] * 5],
        ]
        assert "Sort by tops" not in text


async def test_a_category_has_bars_with_the_largest_first(sales):
    text = await read(sales, "/results/sales")
    chart, _ = Page(text).tables
    assert chart[0] == ["country", "revenue", "-0.51.23457e+19"]
    assert [row[0] for row in chart[1:]] == ["KR", SCRIPT, "empty text", "DE", "null"]
    assert len(re.findall("<rect ", text)) == 4
    other, _ = Page(await read(sales, "/results/sales?chart=n&n__lt=7")).tables
    assert [row[:2] for row in other[1:]] == [[SCRIPT, "5"], ["null", "1"]]


async def test_thirty_bars_are_the_most_and_the_page_says_so(settings):
    await publish(settings, {"k": "string", "n": "int64"}, [(f"k{no}", no) for no in range(31)], name="wide")
    async with gateway(settings) as http:
        text = await read(http, "/results/wide")
        chart, _ = Page(text).tables
        assert [row[0] for row in chart[1:]] == [f"k{no}" for no in range(30, 0, -1)]
        assert "the 30 largest" in text


async def test_a_time_has_a_line_with_gaps_for_nulls(settings):
    rows = [(date(2024, month, 1), None if month == 2 else month) for month in (1, 2, 3)]
    await publish(settings, {"month": "date", "n": "int64"}, rows, name="monthly")
    async with gateway(settings) as http:
        text = await read(http, "/results/monthly")
    times = [datetime(2024, month, 1, tzinfo=UTC).timestamp() for month in (1, 2, 3)]
    assert json.loads(re.search("data-times='([^']*)'", text)[1]) == times
    assert json.loads(re.search("data-values='([^']*)'", text)[1]) == [1.0, None, 3.0]
    assert "drawn by JavaScript" in text
    assert "uplot.js" in text


async def test_a_result_of_many_rows_has_a_chart_if_it_is_asked_for(settings, monkeypatch):
    await publish(settings, {"k": "string", "n": "int64"}, [("a", 1), ("b", 2)], name="large")
    monkeypatch.setattr("api_service.dashboard.charts.MOST_ROWS", 1)
    async with gateway(settings) as http:
        text = await read(http, "/results/large")
        assert len(Page(text).tables) == 1
        assert "Draw" in text
        assert len(Page(await read(http, "/results/large?chart=n")).tables) == 2


async def test_odd_names_of_columns_are_texts_and_can_be_asked_for(settings):
    columns = {SCRIPT: "string", "limit": "int64", "chart": "int64", "a b&c=d": "int64", "_id__gt": "int64"}
    await publish(settings, columns, [("x", 1, 2, 3, 4), ("y", 5, 6, 7, 8)], name="odd")
    async with gateway(settings) as http:
        text = await read(http, "/results/odd")
        assert SCRIPT not in text
        page = Page(text)
        for name in columns:
            down = await read(http, page.links[f"Sort by {name}, descending"])
            assert [row[0] for row in Page(down).rows] == ["y", "x"], name
        for name, value in (("limit", 5), ("chart", 6), ("a b&c=d", 7), ("_id__gt", 8)):
            fields = {"column": name, "operator": "exact", "value": str(value)}
            async with http.get("/results/odd/filter", params=fields) as response:
                assert [row[0] for row in Page(await response.text()).rows] == ["y"], name


async def test_two_hundred_columns_make_a_short_page(settings):
    columns = {f"c{no}": "int64" for no in range(200)}
    await publish(settings, columns, [tuple(range(200))] * 120, name="broad")
    async with gateway(settings) as http:
        page = Page(await read(http, "/results/broad?limit=10000"))
        assert (len(page.rows), len(page.rows[0])) == (50, 200)
        assert "Next rows" in page.links


async def test_a_lone_column_and_no_rows_have_no_chart(settings):
    await publish(settings, {"k": "string"}, [("a",)], name="lone")
    await publish(settings, {"k": "string", "n": "int64"}, [], name="none")
    async with gateway(settings) as http:
        assert "Chart" not in await read(http, "/results/lone")
        text = await read(http, "/results/none")
        assert "The result has no rows" in text
        assert "Chart" not in text
        assert "No row matches the filters" in await read(http, "/results/lone?k=b")


async def test_what_is_not_there_is_told(settings, sales):
    assert "There is no result nothing" in await read(sales, "/results/nothing", 404)
    assert "no version 9" in await read(sales, "/results/sales?version=9", 404)
    under_way = await insert_job(settings)
    assert "can be read once it has succeeded" in await read(sales, f"/jobs/{under_way}/rows", 409)
    await finish_job(settings, under_way, state="failed")
    assert "so it has no rows" in await read(sales, f"/jobs/{under_way}/rows", 409)
    gone = await publish(settings, COUNTRIES, SALES, name="gone")
    async with sales.delete("/v1/results/gone") as response:
        assert response.status == 204
    text = await read(sales, f"/jobs/{gone}/rows", 410)
    assert "were deleted, or their time is over" in text
    assert f'href="/jobs/{gone}"' in text


async def test_the_rows_of_a_job_without_a_name(settings):
    job = await publish(settings, COUNTRIES, SALES)
    async with gateway(settings) as http:
        page = Page(await read(http, f"/jobs/{job}/rows?country=KR"))
        assert [row[0] for row in page.rows] == ["KR"]
        assert page.links["Sort by n, ascending"] == f"/jobs/{job}/rows?country=KR&order_by=n"
        async with http.get(page.links["CSV"]) as response:
            assert len((await response.text()).splitlines()) == 2
        async with http.get(f"/jobs/{job}/rows/filter?column=n&operator=gt&value=6") as response:
            assert [row[0] for row in Page(await response.text()).rows] == ["KR", "DE"]


async def test_versions_are_listed_shown_and_deleted(settings, sales):
    await publish(settings, COUNTRIES, SALES[:1], name="sales")
    page = Page(await read(sales, "/results/sales/versions"))
    assert [row[:2] for row in page.rows] == [["2", "current"], ["1", ""]]
    assert "Delete version 2" not in page.links
    old = await read(sales, "/results/sales?version=1")
    assert "This is version 1, an older one" in old
    assert len(Page(old).rows) == len(SALES)
    assert "Its 5 rows are deleted" in await read(sales, page.links["Delete version 1"])
    async with sales.post("/results/sales/delete", data={"version": "1"}, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/results/sales/versions")
    assert [row[0] for row in Page(await read(sales, "/results/sales/versions")).rows] == ["2"]
    async with sales.post("/results/sales/delete", data={}, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/results")
    await read(sales, "/results/sales", 404)


async def test_readers_see_rows_without_buttons_and_other_tenants_see_none(settings):
    closed = settings.model_copy(update={"api_key": SecretStr(OWNER)})
    job = await publish(settings, COUNTRIES, SALES, name="theirs", tenant="other")
    mine = await publish(settings, COUNTRIES, SALES, name="mine")
    async with gateway(closed) as http:
        session = as_session(await sign_in(http, (await make_key(http, "read"))["key"]))
        for path in ("/results/theirs", "/results/theirs/versions", f"/jobs/{job}/rows"):
            await read(http, path, 404, **session)
        assert "theirs" not in await read(http, "/results", **session)
        for path in ("/results/mine", "/results/mine/versions", f"/jobs/{mine}/rows"):
            assert "Delete" not in await read(http, path, **session)
        await read(http, "/results/mine/delete", 403, **session)
        proof = session | origin(http)
        async with http.post(
            "/results/mine/delete", data={"csrf": token(session["Cookie"].partition("=")[2])}, headers=proof
        ) as response:
            assert response.status == 403
        assert session["Cookie"].startswith(COOKIE)


async def test_links_begin_with_the_public_url(settings):
    await publish(settings, COUNTRIES, SALES, name="sales")
    public = settings.model_copy(update={"public_url": "https://data.example/mill"})
    async with gateway(public) as http:
        text = await read(http, "/results/sales")
        for link in Page(text).links.values():
            assert link.startswith(("https://data.example/mill/", "#")), link
        async with http.get(
            "/results/sales/filter?column=n&operator=gt&value=6", allow_redirects=False
        ) as response:
            assert response.headers["Location"] == "https://data.example/mill/results/sales?n__gt=6"
