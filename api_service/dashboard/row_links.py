"""The URLs of a page of rows, in the words of the HTTP API; `chart` is the page's own. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from multidict import MultiDict, MultiMapping

from api_service.wire.headers import Format
from api_service.wire.parameters import invalid
from api_service.wire.row_queries import MAX_PAGE_ROWS, RESERVED, RowColumns, target
from shared.core.row_query import Operator, Term
from shared.errors import InvalidParameter

CHART = "chart"
_OF_PAGE = (*RESERVED, CHART)
_KEPT = ("order_by", "select", "limit", "version", CHART)
"""The words that a new filter leaves as they are."""
OPERATORS: dict[Operator, str] = {
    "exact": "is",
    "ne": "is not",
    "gt": ">",
    "gte": "≥",
    "lt": "<",
    "lte": "≤",
    "in": "is one of (a line each)",
    "isnull": "is null (true or false)",
    "startswith": "begins with",
    "contains": "contains",
    "icontains": "contains, in any case",
}
"""The operators of filters, in words."""


@dataclass(frozen=True, slots=True)
class FilterLine:
    """One line of the filter form."""

    column: str
    operator: Operator
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A page of rows, at the path *page*. The HTTP API has the same rows at *rows*, in the *version*."""

    page: str
    rows: str
    version: int | None
    query: MultiMapping[str]

    def changed(self, **words: str) -> str:
        """The page with these words in place of its own, from its first row. It does not count again."""
        kept = self.hidden(*words)
        return _url(self.page, [*kept, *words.items()])

    def after(self, cursor: str) -> str:
        return self.changed(after=cursor)

    def ordered(self, column: str, columns: RowColumns) -> tuple[str, str] | None:
        """The page in the order of a column, ascending and descending; None if it has no order."""
        if columns.types[column].endswith("[]"):
            return None
        return self.changed(order_by=column), self.changed(order_by=f"-{column}")

    def download(self, wanted: Format, **words: str) -> str:
        """All rows that match, in the order and with the columns of the page."""
        own = [
            (name, value)
            for name, value in self.query.items()
            if name not in {"after", "limit", "total", "version", CHART}
        ]
        pinned = [] if self.version is None else [("version", str(self.version))]
        most = [("limit", str(MAX_PAGE_ROWS))] if wanted == "json" else []
        return _url(self.rows, [*own, *pinned, *most, ("format", wanted), *words.items()])

    def value(self, column: str, row_id: int) -> str:
        """One value, however long."""
        pinned = [] if self.version is None else [("version", str(self.version))]
        return _url(self.rows, [("_id", str(row_id)), ("select", column), *pinned, ("format", "ndjson")])

    def hidden(self, *without: str) -> list[tuple[str, str]]:
        """The words that another form of the page sends with its own, which are *without*."""
        left = {"after", "total", *without}
        return [(name, value) for name, value in self.query.items() if name not in left]

    def kept(self) -> list[tuple[str, str]]:
        """The words that the filter form sends with its own."""
        return [(name, value) for name, value in self.query.items() if name in _KEPT]

    def unfiltered(self) -> str:
        return _url(self.page, self.kept())


def _url(path: str, pairs: Sequence[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(pairs)}" if pairs else path


def row_words(query: MultiMapping[str]) -> MultiDict[str]:
    """The words of the page's query that the HTTP API reads too."""
    for name in ("format", "bom", "formula_guard"):
        if name in query:
            raise invalid(name, "a page has no such form; it has links to the downloads")
    return MultiDict((name, value) for name, value in query.items() if name != CHART)


def filter_lines(query: MultiMapping[str], columns: RowColumns) -> list[FilterLine]:
    """The filters of a query, as lines of the form. Names that mean no column are left out."""
    found = []
    for name, value in query.items():
        if name not in _OF_PAGE:
            try:
                found.append(FilterLine(*target(name, columns), value))
            except InvalidParameter:
                continue
    return found


def filtered(path: str, fields: MultiMapping[str]) -> str:
    """The page at *path* with the filters of the form that sent *fields*."""
    lines = [fields.getall(name, []) for name in ("column", "operator", "value")]
    if len({len(each) for each in lines}) != 1:
        raise invalid("column", "each filter has a column, an operator and a value")
    filters = [_parameter(*line) for line in zip(*lines, strict=True) if line[0]]
    return _url(path, [*filters, *((name, fields[name]) for name in _KEPT if fields.get(name))])


def _parameter(column: str, operator: str, value: str) -> tuple[str, str]:
    if operator not in OPERATORS:
        raise invalid("operator", f"expected one of {', '.join(OPERATORS)}")
    if operator == "exact" and column not in _OF_PAGE:
        return column, value
    return f"{column}__{operator}", value or "true" if operator == "isnull" else value


def aria_sort(order: Sequence[Term], column: str) -> str | None:
    """How the rows are sorted by *column*; None if another one comes first."""
    first = order[0]
    if first.column != column:
        return None
    return "descending" if first.descending else "ascending"
