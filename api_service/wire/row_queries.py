"""The query language of `/rows`: `?country=KR&revenue__gte=100&order_by=-revenue,hour&after=<cursor>`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from multidict import MultiMapping

from api_service.wire.filter_values import parse_filter_value
from api_service.wire.headers import Format
from api_service.wire.pages import Cursor, fingerprint
from api_service.wire.parameters import invalid, whole_number
from shared.core.row_query import OF_TEXTS, ROW_ID, Filter, Operator, RowQuery, Term
from shared.errors import InvalidCursor, InvalidParameter
from shared.spec.names import listed

RESERVED = (
    "order_by", "select", "limit", "after", "version", "format", "total", "bom", "formula_guard", "numbers"
)  # fmt: skip
"""Names that are never columns; a column named `limit` is filtered as `limit__exact`."""
NOT_YET = ("numbers",)
OFFERED = tuple(name for name in RESERVED if name not in NOT_YET)
PAGE_ROWS = 100
MAX_PAGE_ROWS = 10_000
MAX_STREAM_ROWS = 10**10 - 1
MAX_TERMS, MAX_FILTERS = 32, 100
MAX_ICONTAINS = 200
_OPERATORS = get_args(Operator)


@dataclass(frozen=True, slots=True)
class RowColumns:
    """The types of one version's columns, by name; `_id` is among them, but is shown only on request."""

    types: Mapping[str, str]

    @classmethod
    def of(cls, columns: list[dict[str, str]]) -> "RowColumns":
        return cls({ROW_ID: "int64"} | {c["name"]: c["type"] for c in columns})

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(name for name in self.types if name != ROW_ID)

    @property
    def listed(self) -> str:
        return listed(list(self.shown), 100)

    def check(self, parameter: str, name: str) -> str:
        if name not in self.types:
            raise invalid(parameter, f"there is no column {name!r}; the columns are {self.listed}")
        return name

    def named(self, query: MultiMapping[str], parameter: str) -> list[str]:
        """The names of a comma-separated parameter; a name that holds a comma is given alone."""
        values = query.getall(parameter, [])
        bare = [value if value.removeprefix("-") in self.types else value.split(",") for value in values]
        return [name for value in bare for name in ([value] if isinstance(value, str) else value)]


def parse_row_query(
    query: MultiMapping[str], columns: RowColumns, wanted: Format, cursor: Cursor | None
) -> RowQuery:
    for name in NOT_YET:
        if name in query:
            raise invalid(name, "not supported yet")
    filters = tuple(
        parsed
        for name in dict.fromkeys(query)
        if name not in RESERVED
        for parsed in _filters(query, name, columns)
    )
    if len(filters) > MAX_FILTERS:
        raise InvalidParameter(
            f"There are {len(filters)} filters, and at most {MAX_FILTERS} are taken; "
            "__in takes any number of values"
        )
    order = parse_order(columns.named(query, "order_by"), columns)
    shown = dict.fromkeys(columns.check("select", name) for name in columns.named(query, "select"))
    is_page = wanted == "json"
    return RowQuery(
        columns=tuple(shown) or columns.shown,
        filters=filters,
        order=order,
        after=None if cursor is None else _after(cursor, filters, order),
        limit=whole_number(
            query,
            "limit",
            default=PAGE_ROWS if is_page else None,
            most=MAX_PAGE_ROWS if is_page else MAX_STREAM_ROWS,
        ),
    )


def parse_order(names: list[str], columns: RowColumns) -> tuple[Term, ...]:
    """The order; it ends with `_id`, so that no two rows are equal."""
    if len(names) > MAX_TERMS:
        raise invalid("order_by", f"at most {MAX_TERMS} columns, not {len(names)}")
    terms: dict[str, Term] = {}
    for name in names:
        descending = name.startswith("-") and name not in columns.types
        column = columns.check("order_by", name[1:] if descending else name)
        if columns.types[column].endswith("[]"):
            raise invalid("order_by", f"{column} is an array, which has no order")
        if column in terms:
            raise invalid("order_by", f"{column} is named twice")
        terms[column] = Term(column, descending)
    terms.setdefault(ROW_ID, Term(ROW_ID))
    return tuple(terms.values())


def _filters(query: MultiMapping[str], parameter: str, columns: RowColumns) -> list[Filter]:
    column, operator = target(parameter, columns)
    texts = query.getall(parameter)
    if operator == "in":
        return [Filter(column, operator, [_value(parameter, text, columns.types[column]) for text in texts])]
    if operator in OF_TEXTS and columns.types[column] != "string":
        raise invalid(parameter, f"{operator} is for texts, and {column} is {columns.types[column]}")
    if operator == "icontains" and any(len(text) > MAX_ICONTAINS for text in texts):
        raise invalid(parameter, f"at most {MAX_ICONTAINS} characters can be looked for in any case")
    value_type = "bool" if operator == "isnull" else columns.types[column]
    return [Filter(column, operator, _value(parameter, text, value_type)) for text in texts]


def target(parameter: str, columns: RowColumns) -> tuple[str, Operator]:
    """The column and the operator that the name of a parameter means; raises InvalidParameter."""
    if parameter in columns.types:
        return parameter, "exact"
    column, _, suffix = parameter.rpartition("__")
    for operator in _OPERATORS:
        if suffix == operator:
            return columns.check(parameter, column), operator
    if column in columns.types:
        raise invalid(
            parameter, f"there is no operator {suffix!r}; the operators are {', '.join(_OPERATORS)}"
        )
    raise invalid(
        parameter,
        f"neither a parameter nor a column; the parameters are {', '.join(OFFERED)}, "
        f"the columns {columns.listed}",
    )


def _value(parameter: str, text: str, column_type: str) -> Any:
    try:
        return parse_filter_value(text, column_type)
    except ValueError as error:
        raise invalid(parameter, str(error)) from error


def _after(cursor: Cursor, filters: tuple[Filter, ...], order: tuple[Term, ...]) -> int:
    if cursor.query != fingerprint(filters, order):
        raise InvalidCursor("This cursor belongs to other filters or another order; repeat them as they were")
    return cursor.row_id


def version_number(query: MultiMapping[str]) -> int | None:
    return whole_number(query, "version", default=None, most=2**31 - 1)
