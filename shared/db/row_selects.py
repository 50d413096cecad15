"""The SELECT of a query over the rows of a version: SQLAlchemy quotes every name and binds every value."""

import re
from collections.abc import Callable, Sequence
from typing import Any

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
    func,
    literal,
    or_,
    select,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.types import TypeEngine

from shared.core.entities import Version
from shared.core.row_query import ROW_ID, Filter, Operator, RowQuery, Term
from shared.db.pool import Connection
from shared.db.result_tables import result_table

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]  # the dialect's constructor has no annotations
_MARK = re.compile(r"\0([0-9]+)\0")


def types_of(version: Version) -> dict[str, str]:
    return {ROW_ID: "int64"} | {column["name"]: column["type"] for column in version.columns}


def table_of(version: Version) -> Table:
    return result_table(version.relation, version.columns)


def varies(column_type: str) -> bool:
    """Whether its values may be of any size."""
    return column_type == "string" or column_type.endswith("[]")


def matching(table: Table, filters: Sequence[Filter]) -> list[ColumnElement[bool]]:
    return [_CONDITIONS[each.operator](table.c[each.column], each.value) for each in filters]


def narrowed(rows: Select[Any], table: Table, query: RowQuery) -> Select[Any]:
    """*rows* that match the query's filters and come after its cursor, in its order."""
    rows = rows.where(*matching(table, query.filters))
    if query.after is not None:
        rows = rows.where(_beyond(table, query.order, query.after))
    return rows.order_by(*(ordered(table.c[term.column], term) for term in query.order))


def ordered(column: ColumnElement[Any], term: Term) -> ColumnElement[Any]:
    """Nulls are last both ways. `_id` has none; Postgres reads its index backwards only if none are told."""
    by = column.desc() if term.descending else column.asc()
    return by if term.column == ROW_ID else by.nulls_last()


def compiled(rows: Select[Any]) -> tuple[str, list[Any]]:
    made = rows.compile(dialect=_DIALECT)
    assert made.positiontup is not None
    return str(made), [made.params[name] for name in made.positiontup]


class _Marks(PGCompiler_asyncpg):
    """Writes a mark in place of each value; no name can hold a NUL, so a mark is never part of one."""

    marked: list[tuple[Any, TypeEngine[Any]]]

    def render_literal_value(self, value: Any, type_: TypeEngine[Any]) -> str:
        self.marked = [*getattr(self, "marked", ()), (value, type_)]
        mark = f"\0{len(self.marked) - 1}\0"
        kind = type_.dialect_impl(self.dialect)
        return str(self.render_bind_cast(type_, kind, mark))  # type: ignore[no-untyped-call]


class _MarkingDialect(asyncpg_dialect):
    statement_compiler = _Marks
    supports_statement_cache = False


_MARKING = _MarkingDialect()  # type: ignore[no-untyped-call]  # as above


async def inlined(connection: Connection, rows: Select[Any]) -> str:
    """The statement with its values in it, as COPY needs it. Postgres itself quotes the values."""
    made = rows.compile(dialect=_MARKING, compile_kwargs={"literal_binds": True})
    marked = getattr(made, "marked", [])
    if not marked:
        return str(made)
    sql, args = compiled(
        select(*(func.quote_literal(sql_cast(literal(value, of), Text)) for value, of in marked))
    )
    quoted = await connection.fetchrow(sql, *args)
    assert quoted is not None
    return _MARK.sub(lambda mark: quoted[int(mark[1])], str(made))


def _bound_type(column: Column[Any]) -> TypeEngine[Any]:
    """The column's type, but for a decimal any precision.

    A cast to numeric(18,2) would round the value that it is compared with.
    """
    return Numeric() if type(column.type) is Numeric else column.type


def _bound(column: Column[Any], value: Any) -> ColumnElement[Any]:
    return literal(value, _bound_type(column))


_LIKE_SPECIAL = re.compile(r"[\\%_]")
_ASCII_SYMBOL = re.compile(r"[^\w\s]", re.ASCII)


def _containing(text: str) -> str:
    """A LIKE pattern in which the characters of *text* mean themselves."""
    return f"%{_LIKE_SPECIAL.sub(lambda found: chr(92) + found[0], text)}%"


def _ignoring_case(text: str) -> str:
    """A regular expression of each character in its cases.

    ILIKE in the collation C of our texts knows the cases of ASCII only. Other collations differ by server.
    """
    return "".join(map(_cases, text))


def _cases(character: str) -> str:
    forms = dict.fromkeys((character, character.lower(), character.upper(), character.title()))
    single = [form for form in forms if len(form) == 1]
    if len(single) > 1:
        return f"[{''.join(single)}]"
    return f"\\{character}" if character.isascii() and _ASCII_SYMBOL.match(character) else character


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
    "contains": lambda column, value: column.like(_bound(column, _containing(value))),
    "icontains": lambda column, value: column.op("~", is_comparison=True)(
        _bound(column, _ignoring_case(value))
    ),
}


def _last_value(table: Table, term: Term, row_id: int) -> ColumnElement[Any]:
    """The value that row *row_id* has in the column of *term*; it stays in Postgres."""
    if term.column == ROW_ID:
        return _bound(table.c[ROW_ID], row_id)
    last = table.alias("last")
    of_row = last.c[ROW_ID] == _bound(last.c[ROW_ID], row_id)
    return select(last.c[term.column]).where(of_row).scalar_subquery()


def not_before(table: Table, query: RowQuery) -> ColumnElement[bool]:
    """Rows whose first term is not null, and not before that of the query's cursor: a range of an index."""
    assert query.after is not None
    first = query.order[0]
    column, value = table.c[first.column], _last_value(table, first, query.after)
    return column <= value if first.descending else column >= value


def _beyond(table: Table, order: Sequence[Term], row_id: int) -> ColumnElement[bool]:
    """The rows that come later than row *row_id*: equal in the first terms, later in the next one.

    Nulls are last.

    The comparison is written out, because a row comparison knows neither nulls nor mixed directions. It is
    made from the last term to the first, each around those behind it. So it is as long as the order and as
    deep. The row's values stay in Postgres, since they may be of any size; a published table does not change.
    """
    beyond: ColumnElement[bool] | None = None
    for term in reversed(order):
        column: Column[Any] = table.c[term.column]
        value = _last_value(table, term, row_id)
        later = column < value if term.descending else column > value
        ways = [later, and_(column.is_(None), value.is_not(None))] if column.nullable else [later]
        if beyond is not None:
            ways.append(and_(column.is_not_distinct_from(value), beyond))
        beyond = or_(*ways)
    assert beyond is not None
    return beyond
