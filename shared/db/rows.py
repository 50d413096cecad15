"""Reading the user-shaped result tables: SQLAlchemy Core builds the SELECT, every value is a bound parameter.

Postgres measures the rows that it sends, because a row may be of any size. A page ends before it is too
large, and the lines of a stream come in blocks of a bounded size. So the gateway never holds more than
`PAGE_BYTES`, or `_BLOCKS_A_FETCH` blocks, of an answer.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Numeric,
    Select,
    Table,
    Text,
    and_,
    any_,
    case,
    extract,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.types import TypeEngine

from shared.core.entities import Version
from shared.core.relations import TABLES
from shared.core.row_query import ROW_ID, Operator, RowQuery, Rows, Term
from shared.db.pool import Pool
from shared.db.result_tables import TableColumn, changes, result_table
from shared.db.statements import VERSIONS
from shared.errors import InvalidCursor, NotMigrated, ResultChanged, ResultExpired, RowTooLarge

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]  # the dialect's constructor has no annotations
PAGE_BYTES = 8 * 1024**2
_VALUE_BYTES = 32
"""A value counts as its name, these and, if it is a text or an array, its octets.

That is about the size of the value in a JSON page.
"""
_BLOCK_BYTES, _BLOCKS_A_FETCH = 2048, 2000
FETCH_SECONDS = 60.0
_ODD = (asyncpg.SyntaxOrAccessError, asyncpg.DataError, OverflowError, ValueError)
"""Errors of a statement on a table that is not as it was published.

OverflowError is a time that Python cannot hold.
"""


class RowStore:
    """`streams` is a pool of its own, so that slow readers of long answers starve no other request."""

    def __init__(self, pool: Pool, streams: Pool) -> None:
        self._pool = pool
        self._streams = streams

    async def page(self, version: Version, query: RowQuery) -> Rows:
        """At most `query.limit` rows, and fewer where they would take more than PAGE_BYTES.

        Raises RowTooLarge for a row that fits in no page. Raises ResultExpired and ResultChanged when the
        table is no longer the same.
        """
        async with self._explained(version), self._pool.connection() as connection:
            sql, args = page_statement(version, query)
            found = [tuple(row) for row in await connection.fetch(sql, *args)]
            if not found:
                sql, args = first_statement(version, query)
                _explain_empty(await connection.fetchrow(sql, *args), version, query)
            return Rows([row[:-2] for row in found], found[-1][-2] if found and found[-1][-1] else None)

    async def csv(self, version: Version, query: RowQuery) -> AsyncGenerator[bytes]:
        """Blocks of CSV (RFC 4180), without a header; one snapshot, read through a cursor."""
        sql, args = csv_statement(version, query)
        async with self._explained(version), self._streams.transaction() as tx:
            cursor = await tx.cursor(sql, *args, timeout=FETCH_SECONDS)
            while blocks := await cursor.fetch(_BLOCKS_A_FETCH, timeout=FETCH_SECONDS):
                yield b"".join(block[0] for block in blocks)

    @asynccontextmanager
    async def _explained(self, version: Version) -> AsyncIterator[None]:
        """Name the changes of the table, if Postgres cannot read it as it was published."""
        try:
            yield
        except (NotMigrated, *_ODD) as error:
            async with self._pool.connection() as connection:
                now = await VERSIONS.shape.fetchrow(connection, job_id=version.job_id)
            if now is None:
                raise ResultExpired(f"The rows of job {version.job_id} are kept no longer") from error
            columns = msgspec.convert(now["columns"], list[TableColumn] | None)
            found = changes(version.columns, columns)
            if isinstance(error, asyncpg.InsufficientPrivilegeError):
                found = ["Gristmill's role may not read it"]
            elif isinstance(error, OverflowError | ValueError):
                found = found or ["it holds a date or time outside the years 1 to 9999"]
            if not found:
                raise
            raise ResultChanged(
                f"The table {TABLES}.{version.relation} was changed since it was published: "
                f"{'; '.join(found)}. Undo the change, or run the job again"
            ) from error


def _explain_empty(first: asyncpg.Record | None, version: Version, query: RowQuery) -> None:
    """Raise unless there are no rows: the first one, whose sizes are *first*, may fit in no page."""
    if first is None and query.after is None:
        return
    if first is None:
        raise InvalidCursor(
            f"No row follows row {query.after}, of which this cursor tells; take `next` of the page before"
        )
    row_id, *sizes = first
    size, column = max(zip(sizes, query.columns, strict=True))
    raise RowTooLarge(
        f"Row {row_id} of the result takes more than the {PAGE_BYTES} bytes that a JSON page may have: "
        f"column {column!r} alone {size} bytes. Leave it out with `select`, take the rows as CSV "
        f"(format=csv), or read {TABLES}.{version.relation} with SQL"
    )


def page_statement(version: Version, query: RowQuery) -> tuple[str, list[Any]]:
    """Rows of the query's columns, then `_id`, then whether another row follows; of PAGE_BYTES at most.

    SQLAlchemy writes the parts that have names and values in them; around those there are labels and numbers
    only.
    """
    assert query.limit is not None
    sql, args = _labelled(version, query, query.limit + 1)  # one more says whether others follow
    types = _types(version)
    shown = ", ".join(_shown(types[name], f"c{no}") for no, name in enumerate(query.columns))
    fixed = sum(len(name.encode()) + _VALUE_BYTES for name in query.columns)
    size = " + ".join(
        [
            f"{fixed}::bigint",
            *(
                _octets(types[name], f"c{no}")
                for no, name in enumerate(query.columns)
                if _varies(types[name])
            ),
        ]
    )
    order = ", ".join(
        f"t{no} {'DESC' if term.descending else 'ASC'} NULLS LAST" for no, term in enumerate(query.order)
    )
    fitting = (
        f"SELECT {shown}, id, follows FROM ("  # noqa: S608
        f"SELECT *, sum({size}) OVER sofar AS total, lead(id) OVER sofar IS NOT NULL AS follows"
        f" FROM ({sql}) AS page WINDOW sofar AS (ORDER BY {order} ROWS UNBOUNDED PRECEDING)) AS measured"
        f" WHERE total <= {PAGE_BYTES} ORDER BY {order} LIMIT {query.limit}"
    )
    return fitting, args


def first_statement(version: Version, query: RowQuery) -> tuple[str, list[Any]]:
    """`_id` of the first row, then the size of each of its values."""
    sql, args = _labelled(version, query, 1)
    types = _types(version)
    sizes = (
        _octets(types[name], f"c{no}") if _varies(types[name]) else "0"
        for no, name in enumerate(query.columns)
    )
    return f"SELECT id, {', '.join(sizes)} FROM ({sql}) AS page", args  # noqa: S608


def _labelled(version: Version, query: RowQuery, limit: int) -> tuple[str, list[Any]]:
    """The query's columns as c0, c1, …, the terms of its order as t0, t1, … and `_id` as id."""
    table = _table(version)
    columns = [table.c[name].label(f"c{no}") for no, name in enumerate(query.columns)]
    terms = [table.c[term.column].label(f"t{no}") for no, term in enumerate(query.order)]
    return _compiled(
        _narrowed(select(*columns, *terms, table.c[ROW_ID].label("id")), table, query).limit(limit)
    )


def _varies(column_type: str) -> bool:
    return column_type == "string" or column_type.endswith("[]")


def _octets(column_type: str, label: str) -> str:
    """The octets of a value of a varying size. Postgres knows the length of a text without reading it."""
    octets = (
        f"octet_length({label}::text) + cardinality({label}) * {_VALUE_BYTES}"
        if column_type.endswith("[]")
        else f"octet_length({label})"
    )
    return f"coalesce({octets}, 0)"


def _shown(column_type: str, label: str) -> str:
    """An infinite time is null in JSON, as an infinite number is."""
    return (
        f"CASE WHEN isfinite({label}) THEN {label} END"
        if column_type in {"date", "timestamp", "timestamptz"}
        else label
    )


def csv_statement(version: Version, query: RowQuery) -> tuple[str, list[Any]]:
    """Blocks of the lines: Postgres writes them, so that the gateway only passes them on."""
    table = _table(version)
    types = _types(version)
    cells = [
        (_array if types[name].endswith("[]") else _CELLS.get(types[name], _plain))(table.c[name])
        for name in query.columns
    ]
    # array_to_string writes its last argument for a null: a null is an empty cell, an empty text is "".
    line = func.convert_to(func.array_to_string(array(cells), ",", "") + "\r\n", "UTF8")
    sql, args = _compiled(_narrowed(select(line.label("line")), table, query).limit(query.limit))
    block = f"substring(line, generate_series(1, octet_length(line), {_BLOCK_BYTES}), {_BLOCK_BYTES})"
    return f"SELECT {block} FROM ({sql}) AS lines", args  # noqa: S608  # the numbers are our own


def _types(version: Version) -> dict[str, str]:
    return {ROW_ID: "int64"} | {column["name"]: column["type"] for column in version.columns}


def _table(version: Version) -> Table:
    return result_table(version.relation, version.columns)


def _narrowed(rows: Select[Any], table: Table, query: RowQuery) -> Select[Any]:
    rows = rows.where(*(_CONDITIONS[f.operator](table.c[f.column], f.value) for f in query.filters))
    if query.after is not None:
        rows = rows.where(_beyond(table, query.order, query.after))
    ordered = (table.c[t.column].desc() if t.descending else table.c[t.column].asc() for t in query.order)
    return rows.order_by(*(term.nulls_last() for term in ordered))


def _bound_type(column: Column[Any]) -> TypeEngine[Any]:
    """The column's type, but for a decimal any precision.

    A cast to numeric(18,2) would round the value that it is compared with.
    """
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


def _beyond(table: Table, order: Sequence[Term], row_id: int) -> ColumnElement[bool]:
    """The rows that come later than row *row_id*: equal in the first terms, later in the next one.

    Nulls are last.

    The comparison is written out, because a row comparison knows neither nulls nor mixed directions. It is
    made from the last term to the first, each around those behind it. So it is as long as the order and as
    deep. The row's values stay in Postgres, since they may be of any size; a published table does not change.
    """
    last = table.alias("last")
    beyond: ColumnElement[bool] | None = None
    for term in reversed(order):
        column: Column[Any] = table.c[term.column]
        if term.column == ROW_ID:
            value: ColumnElement[Any] = _bound(column, row_id)
        else:
            value = (
                select(last.c[term.column])
                .where(last.c[ROW_ID] == _bound(last.c[ROW_ID], row_id))
                .scalar_subquery()
            )
        later = column < value if term.descending else column > value
        ways = [later, and_(column.is_(None), value.is_not(None))] if column.nullable else [later]
        if beyond is not None:
            ways.append(and_(column.is_not_distinct_from(value), beyond))
        beyond = or_(*ways)
    assert beyond is not None
    return beyond


def _plain(column: Column[Any]) -> ColumnElement[Any]:
    return sql_cast(column, Text)


def _text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    quoted = '"' + func.replace(column, '"', '""') + '"'
    return case((or_(column == "", column.regexp_match('[",\r\n]')), quoted), else_=column)


def _array(column: Column[Any]) -> ColumnElement[Any]:
    """As JSON, whose times are ISO 8601 whatever the DateStyle."""
    return _text(sql_cast(func.array_to_json(column), Text))


def _moment(pattern: str) -> Callable[[Column[Any]], ColumnElement[Any]]:
    """The session's time zone is UTC (shared.db.pool); its DateStyle is not known.

    Readers refuse other years than 1 to 9999. Those, if a user has put them into a table, and infinity are
    written as Postgres does.
    """
    return lambda column: case(
        (extract("year", column).between(1, 9999), func.to_char(column, pattern)), else_=_plain(column)
    )


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
