"""The statements of streams of rows: Postgres writes the lines, and COPY sends them.

A `Form` is a SELECT, the options of COPY, and a function of the blocks that COPY sends. A block is of whole
lines.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    extract,
    func,
    literal_column,
    null,
    select,
    type_coerce,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import aggregate_order_by

from shared.core.entities import Version
from shared.core.row_query import FORMULA, RowQuery
from shared.db.result_tables import sql_type
from shared.db.row_selects import narrowed, table_of, types_of
from shared.spec.types import DataType, Kind, parse_result_type

Cell = Callable[[ColumnElement[Any]], ColumnElement[Any]]


def _same(block: bytes) -> bytes:
    return block


@dataclass(frozen=True, slots=True)
class Form:
    rows: Select[Any]
    options: Mapping[str, str]
    finished: Callable[[bytes], bytes] = field(default=_same)


def csv_form(version: Version, query: RowQuery, *, formula_guard: bool) -> Form:
    """RFC 4180. A null is an empty cell, an empty text is ""."""
    cells = _CSV | {"string": _guarded} if formula_guard else _CSV

    def shown(of: DataType, column: Column[Any]) -> ColumnElement[Any]:
        # JSON, whose times are ISO 8601 whatever the DateStyle
        return sql_cast(func.array_to_json(column), Text) if of.array else cells.get(of.kind, _plain)(column)

    return Form(_selected(version, query, shown), {"format": "csv"}, crlf)


def values_form(version: Version, query: RowQuery) -> Form:
    """CSV for `api_service.encoding`: values as Postgres writes them, arrays as JSON arrays of texts."""

    def shown(of: DataType, column: Column[Any]) -> ColumnElement[Any]:
        if of.array:
            return sql_cast(func.array_to_json(sql_cast(column, ARRAY(Text))), Text)
        return case((func.isfinite(column), column)) if of.kind in _PATTERNS else column

    return Form(_selected(version, query, shown), {"format": "csv"})


def ndjson_form(version: Version, query: RowQuery) -> Form:
    """Lines of JSON, with the values of JSON pages. No line has the characters that COPY would quote."""
    lines = _selected(version, query, _json).subquery("r")
    line = select(func.row_to_json(literal_column("r.*"))).select_from(lines)
    return Form(line, {"format": "csv", "quote": "\x01", "delimiter": "\x02"})


_PLAIN_LINES = re.compile(rb'(?:[^"]++|"[^"\n]*+")*+')
"""Lines without a line end in quotes. Nothing is tried twice, so no block takes long or much memory."""
_CELL_OR_END = re.compile(rb'(?:"[^"]*+")++|\n')


def crlf(block: bytes) -> bytes:
    """Whole lines of CSV, ended by CR LF instead of LF; line ends in quoted cells stay."""
    plain = _PLAIN_LINES.match(block)
    if plain is not None and plain.end() == len(block):
        return block.replace(b"\n", b"\r\n")
    return _CELL_OR_END.sub(lambda found: b"\r\n" if found[0] == b"\n" else found[0], block)


def _selected(
    version: Version, query: RowQuery, shown: Callable[[DataType, Column[Any]], ColumnElement[Any]]
) -> Select[Any]:
    table, types = table_of(version), types_of(version)
    cells = [shown(parse_result_type(types[name]), table.c[name]).label(name) for name in query.columns]
    return narrowed(select(*cells), table, query).limit(query.limit)


def _plain(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return sql_cast(column, Text)


def _guarded(column: ColumnElement[Any]) -> ColumnElement[Any]:
    begins = func.left(column, 1, type_=Text()).in_(FORMULA)
    return case((begins, literal_column("''''", Text()) + column), else_=column)


_PATTERNS: dict[Kind, str] = {
    "date": "YYYY-MM-DD",
    "timestamp": 'YYYY-MM-DD"T"HH24:MI:SS.US',
    "timestamptz": 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"',
}


def _moment(pattern: str) -> Cell:
    """The session's time zone is UTC (shared.db.pool); its DateStyle is not known.

    Readers refuse other years than 1 to 9999. Those, if a user has put them into a table, and infinity are
    written as Postgres does.
    """
    return lambda column: case(
        (extract("year", column).between(1, 9999), func.to_char(column, pattern)), else_=_plain(column)
    )


def _spelled_out(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((column, "true"), (~column, "false"))


_CSV: dict[Kind, Cell] = {"bool": _spelled_out, **{kind: _moment(each) for kind, each in _PATTERNS.items()}}


def _number(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """As a JSON page has it: 2 is 2.0, and NaN and infinities are null."""
    text = _plain(column)
    whole = and_(func.abs(column) < literal_column("1e15::float8"), func.trunc(column) == column)
    finite = func.abs(column) <= literal_column("1.7976931348623157e308::float8")
    return case((whole, sql_cast(text + ".0", JSON)), (finite, sql_cast(text, JSON)))


def _time(pattern: str) -> Cell:
    """As a JSON page has it: without a fraction of zero, and null for an infinite one."""
    short = pattern.replace(".US", "")

    def shown(column: ColumnElement[Any]) -> ColumnElement[Any]:
        usual = extract("year", column).between(1, 9999)
        whole = and_(usual, func.date_trunc("second", column) == column)
        return case(
            (~func.isfinite(column), null()),
            (whole, func.to_char(column, short)),
            (usual, func.to_char(column, pattern)),
            else_=_plain(column),
        )

    return shown


_JSON: dict[Kind, Cell] = {
    "decimal": _plain,
    "float64": _number,
    **{kind: _time(pattern) for kind, pattern in _PATTERNS.items()},
}


def _json(of: DataType, column: Column[Any]) -> ColumnElement[Any]:
    """A value that `row_to_json` writes as a JSON page does."""
    shown = _JSON.get(of.kind)
    if shown is None:
        return column
    if not of.array:
        return shown(column)
    each = func.unnest(column).table_valued("value", with_ordinality="no", name="each").render_derived()
    value = type_coerce(each.c.value, sql_type(replace(of, array=False)))
    listed = select(func.json_agg(aggregate_order_by(shown(value), each.c.no))).scalar_subquery()
    return case((column.is_not(None), func.coalesce(listed, sql_cast(literal_column("'[]'"), JSON))))
