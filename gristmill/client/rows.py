"""Rows of a result: filters as HTTP has them, and pages of rows with Python's types."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import chain, repeat
from typing import Any, TypedDict

from gristmill.client.asking import ask
from gristmill.client.csv_cells import Records
from gristmill.client.documents import Column
from gristmill.client.steps import Emit, Query, Request, Steps

FIRST_PAGE_ROWS, PAGE_ROWS = 1_000, 10_000
LISTED = 1_000
"""The most items of a page of a list."""
PARAMETERS = {
    "order_by", "select", "limit", "after", "version", "format", "total", "bom", "formula_guard", "numbers",
}  # fmt: skip
"""Names that are no filters; a column of such a name is filtered as `name__exact`."""
Row = dict[str, Any]
Filters = Mapping[str, Any]


class RowWords(TypedDict, total=False):
    """*order_by* names columns, where `-` means descending; without it rows come by `_id`.

    *select* names the columns to read, in this order. *limit* is the most rows.
    """

    order_by: str | Sequence[str] | None
    select: str | Sequence[str] | None
    limit: int | None


def row_query(filters: Filters | None, words: RowWords) -> Query:
    """The query of a request for rows, without its limit.

    A None is a filter for nulls, a list one for any of its values.
    """
    query = [pair for name, value in (filters or {}).items() for pair in _filter(name, value)]
    for name in ("order_by", "select"):
        query += [(name, column) for column in _listed(words.get(name))]
    return query


def _listed(columns: Any) -> Sequence[str]:
    return [columns] if isinstance(columns, str) else columns or []


def _filter(name: str, value: Any) -> Query:
    name = f"{name}__exact" if name in PARAMETERS else name
    if value is None:
        return [(f"{name.removesuffix('__exact')}__isnull", "true")]
    if isinstance(value, list | tuple | set | frozenset):
        name = name if name.endswith("__in") else f"{name.removesuffix('__exact')}__in"
        return [(name, text(each)) for each in value]
    return [(name, text(value))]


def text(value: Any) -> str:
    """A value as a query has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


def typed(items: list[Row], columns: Sequence[Column]) -> list[Row]:
    """The rows of a page with the types of their columns, changed in place."""
    readers = [(column["name"], read) for column in columns if (read := _reader(column["type"]))]
    for name, read in readers:
        for row in items:
            if row[name] is not None:
                row[name] = read(row[name])
    return items


def _reader(kind: str) -> Callable[[Any], Any] | None:
    """Makes the value of JSON one of Python; None where it is one already."""
    if kind.endswith("[]"):
        element = _reader(kind[:-2])
        return None if element is None else _array(element)
    return Decimal if kind.startswith("decimal") else _READERS.get(kind)


def _array(element: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda values: [None if each is None else element(each) for each in values]


_READERS: dict[str, Callable[[Any], Any]] = {
    "float64": float,
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "timestamptz": datetime.fromisoformat,
}


def pages(path: str, query: Query, limit: int | None) -> Steps[None]:
    """Emit the rows one by one, page after page."""

    def rows(page: Any, here: Query) -> Steps[None]:
        items = typed(page["items"], page["columns"])
        yield from _restored(path, here, items, page["columns"])
        for row in items:
            yield Emit(row)

    return _paged(path, query, limit, chain([FIRST_PAGE_ROWS], repeat(PAGE_ROWS)), rows)


def listing(
    path: str, query: Query, make: Callable[[Any], Any] = lambda item: item, limit: int | None = None
) -> Steps[None]:
    """Emit the items of a list, page after page, each as *make* makes it."""

    def items(page: Any, _: Query) -> Steps[None]:
        for item in page["items"]:
            yield Emit(make(item))

    return _paged(path, query, limit, repeat(None if limit is None else LISTED), items)


def _paged(
    path: str,
    query: Query,
    limit: int | None,
    sizes: Iterator[int | None],
    emitted: Callable[[Any, Query], Steps[None]],
) -> Steps[None]:
    """Ask for pages of *sizes* until there is no next one, or *limit* items have come.

    A size of None is that of the service. *emitted* takes each page, and the query that led to it.
    """
    left, after = limit, ""
    while left is None or left > 0:
        here = [*query, *_cursor(after)]
        size = next(sizes)
        most = size if left is None else min(size or left, left)
        bound = [] if most is None else [("limit", str(most))]
        page = (yield from ask(_get(path, [*here, *bound]))).json()
        yield from emitted(page, here)
        left = None if left is None else left - len(page["items"])
        after = page["next"]
        if after is None:
            return


def _restored(path: str, here: Query, items: list[Row], columns: Sequence[Column]) -> Steps[None]:
    """Put NaN and infinities in. JSON has them as nulls, and CSV tells them from nulls."""
    doubtful = {
        column["name"]: _floats if column["type"].endswith("[]") else float
        for column in columns
        if column["type"].startswith("float64") and any(_has_null(row[column["name"]]) for row in items)
    }
    if not doubtful:
        return
    query = [pair for pair in here if pair[0] != "select"]
    query += [("select", name) for name in doubtful]
    answer = yield from ask(_get(path, [*query, ("format", "csv"), ("limit", str(len(items)))]))
    _, *records = Records().fed(answer.content)
    for row, cells in zip(items, records, strict=True):
        for (name, read), cell in zip(doubtful.items(), cells, strict=True):
            row[name] = None if cell is None else read(cell)


def _has_null(value: Any) -> bool:
    return value is None or (isinstance(value, list) and None in value)


def _floats(cell: str) -> list[float]:
    return [float(element) for element in json.loads(cell)]


def _get(path: str, query: Query) -> Request:
    return Request(method="GET", path=path, query=query)


def _cursor(after: str) -> Query:
    return [("after", after)] if after else []
