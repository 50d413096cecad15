"""The list of results, and the rows of one with its chart: the answers of the HTTP API as pages."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from aiohttp import web
from multidict import MultiMapping

from api_service.app_keys import AUTHENTICATOR, LINKS, RESULTS, TENANT
from api_service.dashboard import charts, row_links
from api_service.dashboard.job_filters import path_of
from api_service.dashboard.rendering import asked, own_url, page, see_other
from api_service.dashboard.row_links import Address
from api_service.dashboard.row_table import RowTable, row_table
from api_service.dashboard.snippets import Source, snippets
from api_service.handlers.results import version_of_job, version_of_result
from api_service.problems import status_and_title
from api_service.wire import parameters
from api_service.wire.documents import result_document
from api_service.wire.pages import Cursor
from api_service.wire.row_queries import PAGE_ROWS, RowColumns, parse_row_query
from shared.core.entities import Version
from shared.core.row_query import ROW_ID, Accuracy, RowQuery
from shared.errors import (
    CountTooSlow,
    GristmillError,
    InvalidCursor,
    InvalidParameter,
    NoResult,
    NotReady,
    ResultExpired,
    RowTooLarge,
    TooManyExports,
    TransientError,
)

_Part = TypeVar("_Part")
LIMIT = 50
PART = "name"
"""The field of the search."""
TOTALS: tuple[Accuracy | Literal["none"], ...] = ("estimate", "exact", "none")
"""How the rows that match are counted; the first is the default."""
MOST_CELLS = 10_000
"""Of one page, since a browser has to lay them out."""


@dataclass(frozen=True, slots=True)
class Chart:
    choice: charts.Choice
    drawn: charts.Bars | charts.Lines


async def search(request: web.Request) -> web.Response:
    """The named results, or those whose names contain the text of the form."""
    query = asked(request)
    part = _part(query)
    kept = {PART: part} if part else {}
    versions, further = await request.app[RESULTS].all(
        request[TENANT], after=parameters.after(query, parameters.RESULT), limit=LIMIT, part=part
    )
    last = str(versions[-1].name) if versions else ""
    return page(
        request,
        "results.html",
        results=[result_document(version, request.app[LINKS]) for version in versions],
        following=path_of("/results", [*kept.items(), ("after", last)]) if further else None,
        beginning=path_of("/results", kept.items()),
        part=part,
        first="after" not in query,
    )


def _part(query: MultiMapping[str]) -> str | None:
    """Names have small letters only."""
    part = parameters.single(query, PART)
    if part is not None and not part.isprintable():
        raise parameters.expected(PART, "a part of the name of a result", part)
    return part and part.strip().lower()


async def show(request: web.Request) -> web.Response:
    """The rows of a named result."""
    version, cursor = await version_of_result(request)
    return await _shown(request, version, cursor, f"/results/{version.name}")


async def show_job(request: web.Request) -> web.Response:
    """The rows of a job."""
    path = f"/jobs/{request.match_info['id']}"
    try:
        version, cursor = await version_of_job(request)
    except (NotReady, NoResult, ResultExpired) as error:
        status, title = status_and_title(error)
        return page(request, "no_rows.html", status=status, title=title, problem=error, job=path)
    return await _shown(request, version, cursor, f"{path}/rows")


async def filter_rows(request: web.Request) -> web.Response:
    """The filters of the form, as the URL of the page that has them."""
    return see_other(request, row_links.filtered(request.path.removesuffix("/filter"), request.query))


async def filter_rows_of_job(request: web.Request) -> web.Response:
    """As `filter_rows`, below the path of the job."""
    return await filter_rows(request)


async def _shown(request: web.Request, version: Version, cursor: Cursor | None, path: str) -> web.Response:
    rows = f"/v1{path}" if path.endswith("/rows") else f"/v1{path}/rows"
    numbered = None if path.endswith("/rows") else version.version
    address = Address(page=path, rows=rows, version=numbered, query=request.query)
    columns = RowColumns.of(version.columns)
    table = chart = problem = no_chart = no_total = None
    try:
        query = _query(address, columns, cursor)
        total, no_total = await _or_error(_total(request, version, query))
        table = await _table(request, version, query, total, address)
        if table.rows:
            chart, no_chart = await _or_error(_chart(request, version, query))
    except (InvalidParameter, InvalidCursor) as error:
        problem = error
    return page(
        request,
        "result.html",
        status=status_and_title(problem)[0] if problem else 200,
        result=result_document(version, request.app[LINKS]),
        address=address,
        columns=version.columns,
        operators=row_links.OPERATORS,
        lines=row_links.filter_lines(request.query, columns),
        problem=problem,
        table=table,
        no_total=no_total,
        chart=chart,
        no_chart=no_chart,
        drawable=charts.drawable(version),
        snippets=snippets(await _source(request, version, address)),
    )


def _query(address: Address, columns: RowColumns, cursor: Cursor | None) -> RowQuery:
    """As the HTTP API reads it; a page has fewer rows where they are wide. `_id` comes last."""
    query = parse_row_query(row_links.row_words(address.query), columns, "json", cursor)
    most = max(1, MOST_CELLS // len(query.columns))
    return replace(query, columns=(*query.columns, ROW_ID), limit=min(query.limit or PAGE_ROWS, most))


async def _or_error(part: Awaitable[_Part | None]) -> tuple[_Part | None, GristmillError | None]:
    """A part of the page, or why it is left out: the rows are shown without it."""
    try:
        return await part, None
    except (CountTooSlow, TooManyExports, RowTooLarge, TransientError) as error:
        return None, error


async def _total(request: web.Request, version: Version, query: RowQuery) -> tuple[int, Accuracy] | None:
    wanted = parameters.choice(request.query, "total", TOTALS)
    return None if wanted == "none" else await request.app[RESULTS].total(version, query, wanted)


async def _table(
    request: web.Request,
    version: Version,
    query: RowQuery,
    total: tuple[int, Accuracy] | None,
    address: Address,
) -> RowTable:
    async with request.app[RESULTS].page(version, query) as rows:
        return row_table(version, query, rows, total, address)


async def _chart(request: web.Request, version: Version, query: RowQuery) -> Chart | None:
    """Of all rows that match, whichever page of them is shown."""
    choice = charts.chosen(version, parameters.single(request.query, row_links.CHART))
    if choice is None:
        return None
    async with request.app[RESULTS].page(version, choice.query(query.filters)) as rows:
        drawn = charts.bars(rows) if choice.kind == "bars" else charts.lines(rows, choice.value)
    return Chart(choice, drawn)


async def _source(request: web.Request, version: Version, address: Address) -> Source:
    base = own_url(request)
    return Source(
        relation=result_document(version, request.app[LINKS]).relation,
        parquet=base + address.download("parquet"),
        gateway=base,
        name=None if address.version is None else version.name,
        version=None if version.current else version.version,
        job_id=version.job_id,
        keyed=await request.app[AUTHENTICATOR].needs_key(),
    )
