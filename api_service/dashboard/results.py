"""The list of results, and the rows of one with its chart: the answers of the HTTP API as pages."""

from dataclasses import dataclass, replace
from typing import Literal

from aiohttp import web

from api_service.app_keys import AUTHENTICATOR, LINKS, RESULTS, TENANT
from api_service.dashboard import charts, row_links
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
    InvalidCursor,
    InvalidParameter,
    NoResult,
    NotReady,
    ResultExpired,
)

LIMIT = 50
TOTALS: tuple[Accuracy | Literal["none"], ...] = ("estimate", "exact", "none")
"""How the rows that match are counted; the first is the default."""
MOST_CELLS = 10_000
"""Of one page, since a browser has to lay them out."""


@dataclass(frozen=True, slots=True)
class Chart:
    choice: charts.Choice
    drawn: charts.Bars | charts.Lines


async def search(request: web.Request) -> web.Response:
    """The named results."""
    query = asked(request)
    versions, further = await request.app[RESULTS].all(
        request[TENANT], after=parameters.after(query, parameters.RESULT), limit=LIMIT
    )
    return page(
        request,
        "results.html",
        results=[result_document(version, request.app[LINKS]) for version in versions],
        following=f"/results?after={versions[-1].name}" if further else None,
        first="after" not in query,
    )


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
    table = chart = problem = None
    try:
        query = _query(address, columns, cursor)
        table = await _table(request, version, query, address)
        chart = await _chart(request, version, query) if table.rows else None
    except (InvalidParameter, InvalidCursor, CountTooSlow) as error:
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
        chart=chart,
        drawable=charts.drawable(version),
        snippets=snippets(await _source(request, version, address)),
    )


def _query(address: Address, columns: RowColumns, cursor: Cursor | None) -> RowQuery:
    """As the HTTP API reads it; a page has fewer rows where they are wide. `_id` comes last."""
    query = parse_row_query(row_links.row_words(address.query), columns, "json", cursor)
    most = max(1, MOST_CELLS // len(query.columns))
    return replace(query, columns=(*query.columns, ROW_ID), limit=min(query.limit or PAGE_ROWS, most))


async def _table(request: web.Request, version: Version, query: RowQuery, address: Address) -> RowTable:
    results = request.app[RESULTS]
    wanted = parameters.choice(request.query, "total", TOTALS)
    total = None if wanted == "none" else await results.total(version, query, wanted)
    async with results.page(version, query) as rows:
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
