"""One page of rows as a table: headings that sort, cells, and the way to the rows that follow. Pure."""

from dataclasses import dataclass
from functools import partial

from api_service.dashboard.cells import Cell, cell, is_number
from api_service.dashboard.row_links import Address, aria_sort
from api_service.wire.pages import Cursor, encode_cursor, fingerprint
from api_service.wire.row_queries import RowColumns
from shared.core.entities import Version
from shared.core.row_query import Accuracy, RowQuery, Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A column of the table; `sorts` are the pages in its order, ascending and descending."""

    name: str
    type: str
    number: bool
    sort: str | None
    sorts: tuple[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTable:
    """`total` counts the rows that match on all pages; None if it was not asked for."""

    headings: list[Heading]
    rows: list[list[Cell]]
    total: tuple[int, Accuracy] | None
    following: str | None


def row_table(
    version: Version, query: RowQuery, rows: Rows, total: tuple[int, Accuracy] | None, address: Address
) -> RowTable:
    """The last column of the query is `_id`, by which a long value is found again; it is not shown."""
    names = query.columns[:-1]
    following = None
    if rows.last is not None:
        at = Cursor(version.job_id, fingerprint(query.filters, query.order), rows.last)
        following = address.after(encode_cursor(at))
    columns = RowColumns.of(version.columns)
    return RowTable(
        headings=[_heading(name, columns, query, address) for name in names],
        rows=[
            [
                cell(value, partial(address.value, name, row[-1]))
                for name, value in zip(names, row[:-1], strict=True)
            ]
            for row in rows.values
        ],
        total=total,
        following=following,
    )


def _heading(name: str, columns: RowColumns, query: RowQuery, address: Address) -> Heading:
    kind = columns.types[name]
    return Heading(
        name=name,
        type=kind,
        number=is_number(kind),
        sort=aria_sort(query.order, name),
        sorts=address.ordered(name, columns),
    )
