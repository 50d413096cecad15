"""Reading the rows of a result: pages of a bounded size, streams from one snapshot, and counts.

A page holds at most PAGE_BYTES. A stream is read as Postgres sends it, some blocks ahead of its reader. A
block is of whole rows, and a row of at most ROW_BYTES, so the gateway never holds much more of an answer.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import asyncpg

from shared.core.entities import Version
from shared.core.relations import TABLES
from shared.core.row_query import RowQuery, Rows
from shared.db.pool import Connection, Pool, Record
from shared.db.result_tables import changes
from shared.db.row_lines import Form, csv_form, ndjson_form, values_form
from shared.db.row_pages import (
    PAGE_BYTES,
    count_statement,
    estimate_statement,
    first_statement,
    large_statement,
    page_statement,
)
from shared.db.row_selects import inlined
from shared.db.shapes import shape
from shared.db.statements import VERSIONS
from shared.errors import (
    CountTooSlow,
    InvalidCursor,
    NotMigrated,
    ResultChanged,
    ResultExpired,
    RowTooLarge,
)

FETCH_SECONDS, COUNT_SECONDS = 60.0, 10.0
"""How long Postgres may take for the next block of a stream, and for an exact count."""
ROW_BYTES = 32 * 1024**2
"""The most bytes of texts and arrays in a row of a stream."""
_BLOCKS_AHEAD = 4
_STREAMING = "SET LOCAL statement_timeout = 0; SET LOCAL datestyle = 'ISO'; SET LOCAL extra_float_digits = 1"
"""A stream lasts as long as its reader takes. Its values look the same whatever the server's settings."""
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

    async def count(self, version: Version, query: RowQuery) -> int:
        """The rows that match the query's filters; raises CountTooSlow after COUNT_SECONDS."""
        sql, args = count_statement(version, query)
        async with self._explained(version), self._streams.transaction() as tx:
            await tx.execute(f"SET LOCAL statement_timeout = {COUNT_SECONDS * 1000:.0f}")
            try:
                return int(await tx.fetchval(sql, *args))
            except asyncpg.QueryCanceledError as error:
                raise CountTooSlow(
                    f"Counting the rows that match took more than {COUNT_SECONDS:g} s; take total=estimate, "
                    "filter by a column with an index, or leave total out"
                ) from error

    async def estimate(self, version: Version, query: RowQuery) -> int:
        """About how many rows match the query's filters, as the planner thinks, without reading them."""
        sql, args = estimate_statement(version, query)
        async with self._explained(version), self._pool.connection() as connection:
            (plan,) = await connection.fetchval(sql, *args)
        return min(int(plan["Plan"]["Plan Rows"]), version.rows)

    def csv(self, version: Version, query: RowQuery, *, formula_guard: bool = False) -> AsyncGenerator[bytes]:
        """Blocks of CSV (RFC 4180) without a header, each of whole rows, from one snapshot."""
        return self._stream(version, query, csv_form(version, query, formula_guard=formula_guard))

    def ndjson(self, version: Version, query: RowQuery) -> AsyncGenerator[bytes]:
        """Blocks of JSON objects, a line each, from one snapshot."""
        return self._stream(version, query, ndjson_form(version, query))

    def values(self, version: Version, query: RowQuery) -> AsyncGenerator[bytes]:
        """Blocks of the values as Postgres writes them, for another process to encode; from one snapshot."""
        return self._stream(version, query, values_form(version, query))

    async def _stream(self, version: Version, query: RowQuery, form: Form) -> AsyncGenerator[bytes]:
        """Raises RowTooLarge before the first block, ResultExpired and ResultChanged."""
        async with self._explained(version), self._streams.transaction() as tx:
            await self._refuse_large_row(tx, version, query)
            await tx.execute(_STREAMING)
            sql = await inlined(tx, form.rows)
            async with aclosing(_copied(tx, sql, form.options)) as blocks:
                async for block in blocks:
                    yield form.finished(block)

    async def _refuse_large_row(self, tx: Connection, version: Version, query: RowQuery) -> None:
        """Look for a row of more than ROW_BYTES, in a table that has values too large to be stored inline."""
        if not await VERSIONS.has_large_values.fetchval(tx, relation=version.relation):
            return
        sql, args = large_statement(version, query, ROW_BYTES)
        if (found := await tx.fetchrow(sql, *args)) is not None:
            raise _too_large(found, version, query, f"{ROW_BYTES} bytes that a row of a stream", "")

    @asynccontextmanager
    async def _explained(self, version: Version) -> AsyncIterator[None]:
        """Name the changes of the table, if Postgres cannot read it as it was published."""
        try:
            yield
        except (NotMigrated, *_ODD) as error:
            async with self._pool.connection() as connection:
                published, now = await shape(connection, version.job_id)
            if not published:
                raise ResultExpired(
                    f"The rows of job {version.job_id} were deleted just now: submit its spec again"
                ) from error
            found = changes(version.columns, now)
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


async def _copied(connection: Connection, sql: str, options: Mapping[str, str]) -> AsyncGenerator[bytes]:
    """The blocks that COPY sends, a few ahead of the reader. A reader that leaves cancels the statement."""
    ahead: asyncio.Queue[bytes | None] = asyncio.Queue()
    room = asyncio.Semaphore(_BLOCKS_AHEAD)

    async def put(block: bytes) -> None:
        await room.acquire()
        ahead.put_nowait(block)

    copying = asyncio.create_task(_copy(connection, sql, put, options))
    copying.add_done_callback(lambda _: ahead.put_nowait(None))
    try:
        while True:
            async with asyncio.timeout(FETCH_SECONDS):
                block = await ahead.get()
            if block is None:
                break
            yield block
            room.release()
        await copying
    finally:
        copying.cancel()
        await asyncio.wait([copying])


async def _copy(
    connection: Connection,
    sql: str,
    put: Callable[[bytes], Coroutine[Any, Any, None]],
    options: Mapping[str, Any],
) -> None:
    await connection.copy_from_query(sql, output=put, **options)


def _explain_empty(first: Record | None, version: Version, query: RowQuery) -> None:
    """Raise unless there are no rows: the first one, whose sizes are *first*, may fit in no page."""
    if first is None and query.after is None:
        return
    if first is None:
        raise InvalidCursor(
            f"No row follows row {query.after}, of which this cursor tells; take `next` of the page before"
        )
    raise _too_large(
        first, version, query, f"{PAGE_BYTES} bytes that a JSON page", "take the rows as CSV (format=csv), "
    )


def _too_large(found: Record, version: Version, query: RowQuery, bound: str, way_out: str) -> RowTooLarge:
    row_id, *sizes = found
    size, column = max(zip(sizes, query.columns, strict=True))
    return RowTooLarge(
        f"Row {row_id} of the result takes more than the {bound} may have: column {column!r} alone {size} "
        f"bytes. Leave it out with `select`, {way_out}or read {TABLES}.{version.relation} with SQL"
    )
