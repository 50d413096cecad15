"""Connections to Postgres, with every driver error translated once, here, by type and SQLSTATE."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from shared import metrics, tracing
from shared.errors import DatabaseUnavailable, NotMigrated, TransientError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

Record = asyncpg.Record

LIST_BYTES = 4 * 1024**2
"""About the most that a list of jobs or results takes from Postgres.

A result may have more than a thousand columns.
"""
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # 57P01 admin shutdown, 57P02 crash, 57P03 cannot connect now
    asyncpg.InsufficientResourcesError,  # 53300 too many connections, 53100 disk full
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a query on a connection that Postgres has just said goodbye to
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    ConnectionError,
    TimeoutError,
    OSError,
)
_BROKEN = (
    TimeoutError,
    asyncio.CancelledError,
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
)
_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)
_UNMIGRATED = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedColumnError)
_PASSING = (
    asyncpg.TransactionRollbackError,  # 40001 serialization failure, 40P01 deadlock
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidCachedStatementError,  # 0A000: a migration has changed the table since
)


def unavailable(error: TransientError) -> str:
    """The error with its cause, which may name logins and hosts: for operators, not for clients."""
    if not isinstance(error.__cause__, _AWAY):
        return error.detail
    return f"{error.detail.removesuffix('; try again')}: {error.__cause__}. GRISTMILL_DATABASE_URL names it"


def is_refused(error: DatabaseUnavailable) -> bool:
    """Whether the URL or its login is wrong, so that waiting does not help."""
    return isinstance(error.__cause__, _REFUSED)


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except _UNMIGRATED as error:
        raise NotMigrated("The database's schema is not ready; run `gristmill server migrate`") from error
    except asyncpg.QueryCanceledError as error:
        raise DatabaseUnavailable("Postgres took too long to answer; try again") from error
    except _PASSING as error:
        raise DatabaseUnavailable(f"Postgres asks to try again ({error.sqlstate})") from error
    except _AWAY as error:
        raise DatabaseUnavailable("Postgres cannot be reached; try again") from error


def copying(table: str) -> AbstractContextManager[tracing.Span]:
    """The span of a COPY into *table*, which no instrumentation of asyncpg sees."""
    about = {"db.system.name": "postgresql", "db.operation.name": "COPY", "db.collection.name": table}
    return tracing.span("COPY", "CLIENT", about)


async def _keep_session(_: Any) -> None:
    """In place of asyncpg's reset query, which would cost a round trip for each borrow.

    Nothing here leaves session state behind.
    """


async def _speak_json(connection: Any) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            encoder=lambda value: msgspec.json.encode(value).decode(),
            decoder=msgspec.json.decode,
        )


class Pool:
    """A pool that connects when first used, so that a service may start before its database does.

    `patience` bounds, in seconds, how long a borrower waits for a connection, and how long the tear-down of
    one may take. `seconds`, if given, bounds the whole time that one is lent, and how long Postgres works on
    one statement. Postgres does not notice that its client has gone, and would go on with a long statement. A
    server that is gone refuses at once. One that is frozen, or behind a network that swallows packets, would
    keep its borrower for minutes.
    """

    def __init__(
        self, url: str, *, size: int, patience: float, seconds: float | None, server_settings: dict[str, str]
    ) -> None:
        self._url = url
        self._patience = patience
        self._seconds = seconds
        self._options = {
            "min_size": 0,
            "max_size": size,
            "server_settings": server_settings,
            "timeout": patience,
        }
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._lent: dict[Connection, asyncio.Timeout] = {}
        name = server_settings.get("application_name", "").removeprefix("gristmill-")
        self._in_use, self._waiting = metrics.POOL_IN_USE.labels(name), metrics.POOL_WAITING.labels(name)
        metrics.POOL_SIZE.labels(name).set(size)
        self._aborted: set[Connection] = set()

    async def _acquire(self) -> Connection:
        if self._pool is None:
            self._pool = asyncpg.create_pool(
                self._url, init=_speak_json, reset=_keep_session, **self._options
            )  # type: ignore[call-overload]  # the stubs lag behind `reset`
            await self._pool
        with self._waiting.track_inprogress():
            async with asyncio.timeout(self._patience):  # asyncpg's own timeout would cost a task a borrow
                return await self._pool.acquire()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        with translated():
            async with asyncio.timeout(self._seconds) as limit:
                connection = await self._acquire()
                assert self._pool is not None
                self._lent[connection] = limit
                self._in_use.inc()
                try:
                    yield connection
                except AttributeError as error:
                    if connection not in self._aborted:
                        raise
                    # asyncpg's own: the end came between two steps of a statement
                    raise ConnectionAbortedError(str(error)) from error
                except _BROKEN:
                    # A statement may be under way on a dead network, and asyncpg's polite tear-down has no
                    # bound.
                    connection.terminate()
                    raise
                finally:
                    self._in_use.dec()
                    del self._lent[connection]
                    self._aborted.discard(connection)
                    # a proxy, which the stubs do not know
                    await self._pool.release(connection, timeout=self._patience)  # type: ignore[arg-type]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.connection() as connection:
            transaction = connection.transaction()
            async with asyncio.timeout(self._patience):
                await transaction.start()
            try:
                yield connection
            except _BROKEN:
                # The connection is thrown away, and the transaction with it: a polite ROLLBACK has no bound.
                raise
            except BaseException:
                async with asyncio.timeout(self._patience):
                    await transaction.rollback()
                raise
            else:
                await transaction.commit()

    async def extend(self, connection: Connection, seconds: float) -> None:
        """Lend a connection for *seconds* from now, in its transaction.

        For a long statement to come: Postgres has answered the one before.
        """
        limit = self._lent[connection]
        if limit.when() is not None:
            await connection.execute(f"SET LOCAL statement_timeout = {_milliseconds(seconds)}")
            limit.reschedule(asyncio.get_running_loop().time() + seconds)

    def abort(self) -> None:
        """End every connection that is lent out; a statement that waits on it ends with an error.

        For a caller that knows that Postgres does not answer: over a network that swallows packets a
        statement, a commit too, waits for ever.
        """
        for connection in self._lent:
            self._aborted.add(connection)
            connection.terminate()

    async def close(self) -> None:
        if self._pool is not None:
            try:
                async with asyncio.timeout(self._patience):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}"


QUEUE = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""Settings for sessions that work the queue: every statement goes through indexes, planned once.

Tables in which each row changes its state several times a minute outrun their statistics. The plan that those
would suggest today is the full scan of tomorrow.
"""


def connect(
    url: str,
    *,
    name: str,
    size: int = 10,
    patience: float = 5.0,
    seconds: float | None = None,
    idle_in_transaction: timedelta = timedelta(seconds=10),
    settings: dict[str, str] | None = None,
) -> Pool:
    """A pool for one service; *name* is seen in pg_stat_activity.

    Postgres ends a transaction that says nothing for *idle_in_transaction*: a frozen client must not keep its
    locks.
    """
    idle = _milliseconds(idle_in_transaction.total_seconds())
    server_settings = {
        "application_name": name,
        "timezone": "UTC",
        "idle_in_transaction_session_timeout": idle,
        "jit": "off",
    }
    if seconds is not None:
        server_settings["statement_timeout"] = _milliseconds(seconds)
    return Pool(
        url, size=size, patience=patience, seconds=seconds, server_settings=server_settings | (settings or {})
    )
