"""Postgres reads rows through the indexes of a result, and pages of any order join to the whole table."""

import itertools
import json
import random
from datetime import date, timedelta
from decimal import Decimal

import pytest
from multidict import MultiDict

from api_service.wire.pages import Cursor, fingerprint
from api_service.wire.row_queries import RowColumns, parse_row_query
from shared.db.pool import connect
from shared.db.result_tables import extra_index, key_index
from shared.db.row_lines import csv_form
from shared.db.row_pages import count_statement, page_statement
from shared.db.row_selects import inlined
from shared.db.versions import VersionStore
from tests.support.gateway import database, gateway, publish, rows_of

COLUMNS = {"shop": "string", "day": "date", "n": "int64", "money": "decimal(18,2)", "x": "float64"}
ROWS, MIDDLE = 20_000, 10_000
INDEXES = [["-money"], ["n", "-x"], ["day"]]


@pytest.fixture
async def planned(settings):
    """(connection, version) of a result with its key index and those of INDEXES, analyzed."""
    job_id = await publish(settings, COLUMNS, [])
    async with database(settings) as connection:
        await connection.execute(
            f"INSERT INTO gristmill_results.{job_id} SELECT g, 'shop ' || g, date '2000-01-01' + g, "
            "CASE WHEN g % 10 > 0 THEN g * 7919 % 20011 END, "
            "CASE WHEN g % 10 > 0 THEN (g * 7907 % 20011)::numeric / 100 END, sin(g) "
            f"FROM generate_series(1, {ROWS}) g"
        )
        await connection.execute(key_index(job_id, ["shop", "day"]))
        for no, columns in enumerate(INDEXES):
            await connection.execute(extra_index(job_id, no, columns))
        await connection.execute(f"ANALYZE gristmill_results.{job_id}")
    pool = connect(settings.database_url, name="test", size=2)
    try:
        version = await VersionStore(pool).get("default", job_id)
        async with pool.connection() as connection:
            yield connection, version
    finally:
        await pool.close()


def asked(version, form: str, after: int | None = None, **query: str):
    columns, parameters = RowColumns.of(version.columns), MultiDict(query)
    first = parse_row_query(parameters, columns, form, None)
    if after is None:
        return first
    cursor = Cursor("job_" + "0" * 26, fingerprint(first.filters, first.order), after)
    return parse_row_query(parameters, columns, form, cursor)


def nodes(plan: dict):
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def used(connection, sql: str, args) -> tuple[set[str], set[str], float]:
    """The indexes without the job's id, the kinds of nodes, and the most rows that one node read."""
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"
    (found,) = await connection.fetchval(explain, *args)
    every = [*nodes(found["Plan"])]
    read = [node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in every]
    names = {node["Index Name"].rpartition("_")[2] for node in every if "Index Name" in node}
    return names, {node["Node Type"] for node in every}, max(read)


FILTERS = [
    ({"shop": "shop 77"}, "key"),
    ({"shop__in": "shop 77", "day__gt": "2000-01-01"}, "key"),
    ({"day__gte": "2054-09-01"}, "2"),
    ({"_id": "17"}, "pkey"),
    ({"n": "33"}, "1"),
    ({"shop": "shop 77", "shop__contains": "7"}, "key"),
    ({"n__lt": "20", "shop__icontains": "SHOP"}, "1"),
]


@pytest.mark.parametrize(("query", "index"), FILTERS, ids=str)
async def test_a_filter_reads_an_index_in_pages_in_streams_and_in_counts(planned, query, index):
    connection, version = planned
    page = page_statement(version, asked(version, "json", **query))
    stream = await inlined(
        connection, csv_form(version, asked(version, "csv", **query), formula_guard=True).rows
    )
    count = count_statement(version, asked(version, "json", **query))
    for sql, args in (page, (stream, []), count):
        names, kinds, read = await used(connection, sql, args)

        assert index in names, sql
        assert "Seq Scan" not in kinds
        assert read < 1000


ORDERS = [
    ("-money", "0"),
    ("n,-x", "1"),
    ("day", "2"),
    ("shop,day", "key"),
    ("-_id", "pkey"),
    ("_id", "pkey"),
]
NULLS = ROWS // 10
"""So many rows have neither `n` nor `money`, every tenth one."""


@pytest.mark.parametrize(("order", "index"), ORDERS)
async def test_a_page_begins_in_the_index_where_the_one_before_ended(planned, order, index):
    connection, version = planned
    for after in (None, MIDDLE, MIDDLE + 1):
        query = asked(version, "json", after, order_by=order, limit="10")
        names, _, read = await used(connection, *page_statement(version, query))

        assert index in names, order
        assert read <= (NULLS if after == MIDDLE else 100), "more than the rows that tie in the first term"


KEYS = {
    "a": [None, 1, 2],
    "b": [None, "", "Z", "a"],
    "c": [None, Decimal("0.10"), Decimal(2)],
    "d": [None, date(2026, 1, 1), date(2026, 1, 1) + timedelta(1)],
}
TYPES = {"a": "int64", "b": "string", "c": "decimal(5,2)", "d": "date"}


def sorted_by(rows: list[tuple], terms: tuple[str, ...]) -> list[int]:
    """Numbers of *rows* from 1, nulls last both ways: by a stable sort for each term."""
    numbers = list(range(len(rows)))
    for term in reversed(terms):
        values = [row[list(KEYS).index(term.removeprefix("-"))] for row in rows]
        filled = [i for i in numbers if values[i] is not None]
        filled.sort(key=lambda i: values[i], reverse=term.startswith("-"))  # used at once
        numbers = filled + [i for i in numbers if values[i] is None]
    return [i + 1 for i in numbers]


async def test_pages_over_nullable_and_descending_keys_join_to_the_whole_table(settings):
    chance = random.Random(15)
    every = [*itertools.product(*KEYS.values())]
    rows = [*chance.sample(every, 40), *chance.choices(every, k=20)]
    job_id = await publish(settings, TYPES, rows)
    async with gateway(settings) as http:
        for _ in range(12):
            names = chance.sample([*KEYS], chance.randrange(1, 5))
            terms = tuple(chance.choice(("", "-")) + name for name in names)
            query, filtered = chance.choice(
                [("", rows), ("&b__ne=Z", [row for row in rows if row[1] != "Z"])]
            )
            path = f"/v1/jobs/{job_id}/rows?select=_id&order_by={','.join(terms)}{query}"
            found, after = [], ""
            while after is not None:
                page = await rows_of(
                    http, f"{path}&limit={chance.choice([7, 13])}{after and '&after=' + after}"
                )
                found += [item["_id"] for item in page["items"]]
                after = page["next"]
            kept = [no for no in sorted_by(rows, terms) if rows[no - 1] in filtered]

            assert found == kept, terms
            async with http.get(f"{path}&format=ndjson") as response:
                assert [json.loads(line)["_id"] for line in (await response.text()).splitlines()] == kept
