"""Reading the user-shaped result tables: SQLAlchemy Core builds the SELECT, every value travels as a bound parameter."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ARRAY, Column, ColumnElement, Numeric, Select, Table, Text, and_, any_, case, func, literal, or_, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.types import TypeEngine

from shared.db.pool import Pool, Record
from shared.db.result_tables import result_table
from shared.db.versions import Version
from shared.errors import NotMigrated, ResultExpired

Operator = Literal["exact", "ne", "gt", "gte", "lt", "lte", "in", "isnull", "startswith"]
ROW_ID = "_id"
_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]  # the dialect's constructor has no annotations
_LINES_A_FETCH = 2000
_FETCH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Filter:
    """`value` has the column's Python type; a list of it for `in`, a bool for `isnull`."""

    column: str
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the order; nulls come last whatever the direction."""

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RowQuery:
    """`order` ends with `_id`, which makes it total; `after` are the values of its terms in the last row already read."""

    columns: tuple[str, ...]
    filters: tuple[Filter, ...] = ()
    order: tuple[Term, ...] = (Term(ROW_ID),)
    after: tuple[Any, ...] | None = None
    limit: int | None = None


class RowStore:
    """`streams` is a pool of its own, so that slow readers of long answers starve nobody else."""

    def __init__(self, pool: Pool, streams: Pool) -> None:
        self._pool = pool
        self._streams = streams

    async def page(self, version: Version, query: RowQuery) -> list[Record]:
        """Rows of the query's columns, then the columns of its order; raises ResultExpired once the table is dropped."""
        sql, args = page_statement(version, query)
        try:
            async with self._pool.connection() as connection:
                return await connection.fetch(sql, *args)
        except NotMigrated as error:
            raise _gone(version) from error

    async def csv(self, version: Version, query: RowQuery) -> AsyncGenerator[str]:
        """Blocks of whole CSV lines (RFC 4180), without a header; one snapshot, read through a cursor."""
        sql, args = csv_statement(version, query)
        try:
            async with self._streams.transaction() as tx:
                cursor = await tx.cursor(sql, *args, timeout=_FETCH_SECONDS)
                while rows := await cursor.fetch(_LINES_A_FETCH, timeout=_FETCH_SECONDS):
                    yield "".join(f"{row[0]}\r\n" for row in rows)
        except NotMigrated as error:
            raise _gone(version) from error


def _gone(version: Version) -> ResultExpired:
    return ResultExpired(f"The rows of job {version.job_id} are kept no longer")


def page_statement(version: Version, query: RowQuery) -> tuple[str, list[Any]]:
    table = _table(version)
    names = [*query.columns, *(term.column for term in query.order)]
    # Labels keep SQLAlchemy from dropping a column that is both shown and ordered by.
    return _compiled(_narrowed(select(*(table.c[name].label(f"c{no}") for no, name in enumerate(names))), table, query))


def csv_statement(version: Version, query: RowQuery) -> tuple[str, list[Any]]:
    """One text a row: Postgres writes the line, so that the gateway only passes it on."""
    table = _table(version)
    types = {ROW_ID: "int64"} | {c["name"]: c["type"] for c in version.columns}
    cells = [(_array if types[name].endswith("[]") else _CELLS.get(types[name], _plain))(table.c[name]) for name in query.columns]
    # array_to_string writes its last argument for a null: a null is an empty cell, an empty text is "".
    return _compiled(_narrowed(select(func.array_to_string(array(cells), ",", "")), table, query))


def _table(version: Version) -> Table:
    return result_table(version.relation, version.columns)


def _narrowed(rows: Select[Any], table: Table, query: RowQuery) -> Select[Any]:
    rows = rows.where(*(_CONDITIONS[f.operator](table.c[f.column], f.value) for f in query.filters))
    if query.after is not None:
        rows = rows.where(_beyond(table, query.order, query.after))
    ordered = (table.c[t.column].desc() if t.descending else table.c[t.column].asc() for t in query.order)
    return rows.order_by(*(term.nulls_last() for term in ordered)).limit(query.limit)


def _bound_type(column: Column[Any]) -> TypeEngine[Any]:
    """The column's type, but a decimal of any precision: a cast to numeric(18,2) would round what it is compared with."""
    return Numeric() if type(column.type) is Numeric else column.type


def _bound(column: Column[Any], value: Any) -> ColumnElement[Any]:
    return literal(value, _bound_type(column))


_CONDITIONS: dict[Operator, Callable[[Column[Any], Any], ColumnElement[bool]]] = {
    "exact": lambda column, value: column == _bound(column, value),
    "ne": lambda column, value: column.is_distinct_from(_bound(column, value)),
    "gt": lambda column, value: column.op(">", is_comparison=True)(_bound(column, value)),
    "gte": lambda column, value: column.op(">=", is_comparison=True)(_bound(column, value)),
    "lt": lambda column, value: column.op("<", is_comparison=True)(_bound(column, value)),
    "lte": lambda column, value: column.op("<=", is_comparison=True)(_bound(column, value)),
    "in": lambda column, value: column == any_(literal(value, ARRAY(_bound_type(column)))),
    "isnull": lambda column, value: column.is_(None) if value else column.is_not(None),
    "startswith": lambda column, value: func.starts_with(column, _bound(column, value)),
}


def _beyond(table: Table, order: Sequence[Term], after: Sequence[Any]) -> ColumnElement[bool]:
    """The rows that come later than *after*: equal in the first terms, later in the next one; nulls are last.

    Written out, because a row comparison knows neither nulls nor mixed directions.
    """
    ways: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    for term, value in zip(order, after, strict=True):
        column = table.c[term.column]
        if value is not None:
            later = _CONDITIONS["lt" if term.descending else "gt"](column, value)
            ways.append(and_(*same, or_(later, column.is_(None)) if column.nullable else later))
        same.append(column.is_(None) if value is None else column == _bound(column, value))
    return or_(*ways)


def _plain(column: Column[Any]) -> ColumnElement[Any]:
    return sql_cast(column, Text)


def _text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    quoted = '"' + func.replace(column, '"', '""') + '"'
    return case((or_(column == "", column.regexp_match('[",\r\n]')), quoted), else_=column)


def _array(column: Column[Any]) -> ColumnElement[Any]:
    """As JSON, whose times are ISO 8601 whatever the DateStyle."""
    return _text(sql_cast(func.array_to_json(column), Text))


def _moment(pattern: str) -> Callable[[Column[Any]], ColumnElement[Any]]:
    """The session's time zone is UTC (shared.db.pool), its DateStyle is anybody's guess."""
    return lambda column: func.to_char(column, pattern)


_CELLS: dict[str, Callable[[Column[Any]], ColumnElement[Any]]] = {
    "string": _text,
    "date": _moment("YYYY-MM-DD"),
    "timestamp": _moment('YYYY-MM-DD"T"HH24:MI:SS.US'),
    "timestamptz": _moment('YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
}


def _compiled(rows: Select[Any]) -> tuple[str, list[Any]]:
    compiled = rows.compile(dialect=_DIALECT)
    assert compiled.positiontup is not None
    return str(compiled), [compiled.params[name] for name in compiled.positiontup]
