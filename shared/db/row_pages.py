"""The statements of a JSON page: Postgres measures the rows, because a row may be of any size."""

from typing import Any

from sqlalchemy import func, select, union_all

from shared.core.entities import Version
from shared.core.row_query import ROW_ID, RowQuery
from shared.db.row_selects import (
    compiled,
    matching,
    narrowed,
    not_before,
    ordered,
    table_of,
    types_of,
    varies,
)

PAGE_BYTES = 8 * 1024**2
_VALUE_BYTES = 32
"""A value counts as its name, these and, if it is a text or an array, its octets.

That is about the size of the value in a JSON page.
"""


def page_statement(version: Version, query: RowQuery) -> tuple[str, list[Any]]:
    """Rows of the query's columns, then `_id`, then whether another row follows; of PAGE_BYTES at most.

    SQLAlchemy writes the parts that have names and values in them; around those there are labels and numbers
    only.
    """
    assert query.limit is not None
    sql, args = _labelled(version, query, query.limit + 1)  # one more says whether others follow
    types = types_of(version)
    shown = ", ".join(_shown(types[name], f"c{no}") for no, name in enumerate(query.columns))
    fixed = sum(len(name.encode()) + _VALUE_BYTES for name in query.columns)
    size = " + ".join(
        [
            f"{fixed}::bigint",
            *(octets(types[name], f"c{no}") for no, name in enumerate(query.columns) if varies(types[name])),
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
    return f"SELECT id, {', '.join(_sizes(version, query))} FROM ({sql}) AS page", args  # noqa: S608


def large_statement(version: Version, query: RowQuery, most: int) -> tuple[str, list[Any]]:
    """`_id` and the sizes of a row of which the texts and arrays take more than *most* bytes."""
    sql, args = _labelled(version, query, query.limit)
    sizes = _sizes(version, query)
    total = f"{' + '.join(f'{size}::bigint' for size in sizes)} > {most}"
    return f"SELECT id, {', '.join(sizes)} FROM ({sql}) AS page WHERE {total} LIMIT 1", args  # noqa: S608


def _sizes(version: Version, query: RowQuery) -> list[str]:
    types = types_of(version)
    return [
        octets(types[name], f"c{no}") if varies(types[name]) else "0" for no, name in enumerate(query.columns)
    ]


def count_statement(version: Version, query: RowQuery) -> tuple[str, list[Any]]:
    table = table_of(version)
    return compiled(select(func.count()).select_from(table).where(*matching(table, query.filters)))


def estimate_statement(version: Version, query: RowQuery) -> tuple[str, list[Any]]:
    """The planner's idea of the rows that match, of the statistics that publishing takes in the end."""
    table = table_of(version)
    sql, args = compiled(select(table.c[ROW_ID]).where(*matching(table, query.filters)))
    return f"EXPLAIN (FORMAT JSON) {sql}", args


def _labelled(version: Version, query: RowQuery, limit: int | None) -> tuple[str, list[Any]]:
    """The query's columns as c0, c1, …, the terms of its order as t0, t1, … and `_id` as id, in the order.

    A page after another one is found in two parts: the rows whose first term is not null, and the others. So
    Postgres begins where the page before ended in an index of that term. It looks at the others only if there
    is room for them.
    """
    table = table_of(version)
    columns = [table.c[name].label(f"c{no}") for no, name in enumerate(query.columns)]
    terms = [table.c[term.column].label(f"t{no}") for no, term in enumerate(query.order)]
    rows = narrowed(select(*columns, *terms, table.c[ROW_ID].label("id")), table, query).limit(limit)
    first = table.c[query.order[0].column]
    if query.after is None or limit is None or not first.nullable:
        return compiled(rows)
    filled = rows.where(not_before(table, query)).cte("filled")
    room = select(func.count()).select_from(filled).scalar_subquery() < limit
    parts = union_all(select(filled), rows.where(first.is_(None), room)).subquery()
    order = (ordered(parts.c[f"t{no}"], term) for no, term in enumerate(query.order))
    return compiled(select(parts).order_by(*order).limit(limit))


def octets(column_type: str, label: str) -> str:
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
