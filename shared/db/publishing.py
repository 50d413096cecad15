"""From a result's empty table to a published version: rows copied, indexes made, the view swapped."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from types import MappingProxyType

import asyncpg
import msgspec

from shared.core.columns import Origins, Undecided, misfits, restoring
from shared.core.entities import Document, NewVersion
from shared.core.plan import MergeStats
from shared.core.receipt import Ledger
from shared.core.relations import TABLES, relation_name, view_schema
from shared.db import result_tables as ddl
from shared.db import tenants
from shared.db.history import said
from shared.db.pool import Connection, Pool, copying
from shared.db.records import read_counts, read_row
from shared.db.statements import JOBS, PARTIALS, RECEIPTS, UNITS, VERSIONS
from shared.db.units import Done, Lease, UnitStore
from shared.errors import (
    DatabaseUnavailable,
    GroupKeyTooLong,
    OutputNameTaken,
    OutputSchemaChanged,
    ResultLocked,
    TooManyColumns,
    ValueOutOfRange,
)
from shared.fault_points import reached
from shared.metrics import job_ended
from shared.spec.faults import pointer

LANES = 2
"""Indexes of a result that are made at a time; each takes Postgres' maintenance_work_mem and its workers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The rows of the result that a merge unit of a job has written, and its report."""

    rows: int
    stats: MergeStats


@contextmanager
def _rows_that_fit() -> Iterator[None]:
    """Postgres' own limits of a table, met by the result's."""
    try:
        yield
    except asyncpg.TooManyColumnsError as error:
        raise TooManyColumns(
            f"Postgres cannot make the result's table: {error.message}; leave out aggregates"
        ) from error
    except asyncpg.ProgramLimitExceededError as error:
        if error.message.startswith("row is too big"):
            raise TooManyColumns(
                f"Postgres cannot store a row of the result: {error.message}; leave out aggregates"
            ) from error
        raise ValueOutOfRange(f"Postgres cannot store a row of the result: {error.message}") from error


async def create_table(tx: Connection, job_id: str, columns: list[dict[str, str]]) -> None:
    """Raises TooManyColumns."""
    with _rows_that_fit():
        await tx.execute(ddl.create_table(job_id, columns))


class ColumnsWidened(Exception):
    """Another merge has made integer sums numeric, so binary rows do not fit the table."""


class PublishingStore:
    def __init__(self, pool: Pool, units: UnitStore) -> None:
        self._pool = pool
        self._units = units

    async def widen_columns(self, job_id: str, columns: list[str]) -> None:
        """Make integer sums numeric.

        In a transaction of its own: it waits for other merges' COPY, and holds nothing itself.
        """
        for column in columns:
            async with self._pool.connection() as connection:
                with _rows_that_fit():
                    await connection.execute(ddl.widen_column(job_id, column))

    async def hold_columns(self, tx: Connection, job_id: str, columns: list[str]) -> None:
        """Until *tx* ends, none of these integer sums becomes numeric. Raises ColumnsWidened if one is."""
        if columns:
            await tx.execute(ddl.keep_columns(job_id))
            if await tx.fetchval(ddl.ANY_NUMERIC, TABLES, job_id, columns):
                raise ColumnsWidened(job_id)

    async def any_widened(self, job_id: str, columns: list[str]) -> bool:
        """Whether one of these integer sums is numeric by now."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(ddl.ANY_NUMERIC, TABLES, job_id, columns))

    async def copy(
        self,
        tx: Connection,
        job_id: str,
        columns: list[str],
        rows: AsyncIterator[bytes],
        *,
        binary: bool = False,
    ) -> None:
        """*rows* are those of COPY as CSV, or *binary*, which knows the columns by their exact types."""
        try:
            with _rows_that_fit(), copying(f"{TABLES}.{job_id}"):
                await tx.copy_to_table(
                    job_id,
                    schema_name=TABLES,
                    columns=["_id", *columns],
                    source=rows,
                    format="binary" if binary else "csv",
                )
        except asyncpg.DataError as error:
            raise ValueOutOfRange(f"Postgres cannot store a value of the result: {error.message}") from error

    async def merged(self, job_id: str) -> list[Merged]:
        """The rows and the report of each merge unit, in their order."""
        async with self._pool.connection() as connection:
            rows = await UNITS.merged.fetch(connection, job_id=job_id)
        return [
            Merged(rows=row["rows_out"], stats=msgspec.convert(row["stats"] or {}, MergeStats, str_keys=True))
            for row in rows
        ]

    async def published_columns(self, tenant: str, name: str, version: int) -> list[dict[str, str]]:
        """The columns of the published version that *version* of a result is to follow; none without one."""
        async with self._pool.connection() as connection:
            shown = await VERSIONS.current.fetchrow(connection, tenant=tenant, name=name)
        return [] if shown is None or shown["version"] > version else list(shown["columns"])

    async def check_columns(
        self,
        tenant: str,
        name: str,
        version: int,
        columns: list[dict[str, str]],
        *,
        undecided: Undecided,
        origins: Origins,
    ) -> None:
        """Raise OutputSchemaChanged if *version* of a result cannot follow the published one."""
        async with self._pool.connection() as connection:
            await _check_columns(connection, tenant, name, version, columns, undecided, origins)

    async def build_indexes(self, job_id: str, keys: list[str], indexes: list[list[str]]) -> None:
        """Each step is idempotent: a publish unit that died half-way is run again from the start.

        Indexes are made in LANES sessions, that of the keys first, which takes longest.
        """
        statements = [ddl.key_index(job_id, keys)] if keys else []
        statements += [ddl.row_index(job_id)]
        statements += [ddl.extra_index(job_id, no, columns) for no, columns in enumerate(indexes)]
        left = iter(statements)
        lanes = (self._build(left) for _ in range(min(LANES, len(statements))))
        for error in await asyncio.gather(*lanes, return_exceptions=True):
            if error is not None:
                raise error
        await self._build([ddl.primary_key(job_id)])

    async def _build(self, statements: Iterable[str]) -> None:
        async with self._pool.connection() as connection:
            for statement in statements:
                try:
                    await connection.execute(statement)
                except (asyncpg.DuplicateTableError, asyncpg.ObjectNotInPrerequisiteStateError):
                    continue  # made by an earlier attempt
                except asyncpg.UniqueViolationError as error:
                    if error.constraint_name != "pg_class_relname_nsp_index":
                        raise
                    raise DatabaseUnavailable(
                        "Another attempt has just made this index; try again"
                    ) from error
                except asyncpg.ProgramLimitExceededError as error:
                    raise GroupKeyTooLong(
                        f"The values of one row are too long for an index: {error.message}"
                    ) from error
                reached("publish.indexed")

    async def publish(
        self,
        lease: Lease,
        version: NewVersion,
        write_receipt: Callable[[Ledger], Document],
        tenant: str,
        *,
        replace: bool = False,
    ) -> None:
        """The one short transaction that makes a result visible and the job succeeded.

        *write_receipt* may refuse it. With *replace* the columns need not follow those of the result.
        """
        ended = None
        async with self._units.fenced(lease) as tx:
            await tx.execute("SET LOCAL lock_timeout = '200ms'")
            await self._units.lock_wanted(tx, lease)
            await self._units.mark_done(tx, lease, Done())
            ledger = await RECEIPTS.ledger.fetchrow(tx, job_id=lease.job_id)
            assert ledger is not None
            receipt = write_receipt(read_row(Ledger, ledger, rows=read_counts(ledger)))
            try:
                result = await self.store_version(tx, lease.job_id, version, tenant, replace=replace)
            except (asyncpg.InvalidSchemaNameError, asyncpg.UndefinedObjectError) as error:
                raise DatabaseUnavailable(
                    f"Another session is dropping what tenant {tenant} has ({error.message}); try again"
                ) from error
            shown = said(name=version.name, version=version.version, rows=version.rows)
            ended = await JOBS.set_succeeded.fetchrow(
                tx, id=lease.job_id, result=result, receipt=receipt, said=shown
            )
            reached("publish.swapped")
        reached("publish.after_commit")
        if ended is not None:
            job_ended(*ended)

    async def tidy(self, job_id: str) -> None:
        """Take the planner's statistics of a published version, and forget the job's partials.

        Readers wait for neither. Postgres knows the number of rows from the indexes. Without this autovacuum
        takes the statistics later, and the pruner deletes the partials.
        """
        async with self._pool.connection() as connection:
            with suppress(asyncpg.UndefinedTableError):  # the result was deleted at once
                await connection.execute(ddl.analyze(job_id))
            await PARTIALS.delete.execute(connection, job_id=job_id)

    async def store_version(
        self, tx: Connection, job_id: str, version: NewVersion, tenant: str, *, replace: bool = False
    ) -> Document:
        """Make the table of a job a version that readers see; the `result` of its job document."""
        name, number, columns = version.name, version.version, version.columns
        await VERSIONS.insert.execute(tx, job_id=job_id, tenant=tenant, relation=job_id, **asdict(version))
        current = True
        reader = await tenants.prepare(tx, tenant, named=name is not None)
        if reader:
            await tx.execute(ddl.grant_select(TABLES, job_id, reader))
        if name is not None and number is not None:
            shown = await VERSIONS.lock_result.fetchval(tx, tenant=tenant, name=name)
            # an earlier job never replaces a later one's view
            if current := shown is None or number > shown:
                if not replace:
                    await _check_columns(tx, tenant, name, number, columns)
                await self._swap(tx, tenant, name, job_id, columns, reader, replace=replace)
                await VERSIONS.set_current.execute(tx, tenant=tenant, name=name, version=number)
        relation = relation_name(tenant, name if current else None, job_id)
        stored = {key: value for key, value in asdict(version).items() if key != "key_columns"}
        return stored | {"current": current, "relation": relation}

    async def _swap(
        self,
        tx: Connection,
        tenant: str,
        name: str,
        relation: str,
        columns: list[dict[str, str]],
        reader: str | None,
        *,
        replace: bool,
    ) -> None:
        try:
            async with tx.transaction():
                grants = await _drop_other(tx, tenant, name, columns) if replace else []
                await tx.execute(ddl.replace_view(tenant, name, relation, columns))
                for grant in grants:
                    await tx.execute(grant)
                if reader:
                    await tx.execute(ddl.grant_select(view_schema(tenant), name, reader))
        except asyncpg.LockNotAvailableError as error:
            raise ResultLocked(
                f"Another session holds a lock on {relation_name(tenant, name, relation)}; "
                "publishing waits for it"
            ) from error
        except (asyncpg.WrongObjectTypeError, asyncpg.InsufficientPrivilegeError) as error:
            taken = relation_name(tenant, name, relation)
            raise OutputNameTaken(
                f"{taken} exists and is not Gristmill's ({error.message}); "
                "rename it, or use another output.name"
            ) from error
        except asyncpg.DependentObjectsStillExistError as error:
            raise OutputSchemaChanged(
                f"The result {name!r} cannot get other columns: {error.detail or error.message}; "
                "drop what depends on it, or use a new output.name"
            ) from error
        except asyncpg.InvalidTableDefinitionError as error:
            raise OutputSchemaChanged(
                f"The result {name!r} has other columns than this job's; "
                f"use a new output.name, or the columns it has ({error.message})"
            ) from error


async def _drop_other(tx: Connection, tenant: str, name: str, columns: list[dict[str, str]]) -> list[str]:
    """Drop the view of a result whose columns are not the first ones of *columns*.

    Returns the statements that give other roles their rights to it again.
    """
    shown = await VERSIONS.current.fetchrow(tx, tenant=tenant, name=name)
    if shown is None or not misfits(shown["columns"], columns):
        return []
    grants = await VERSIONS.grants.fetch(tx, schema=view_schema(tenant), name=name)
    await tx.execute(ddl.drop_view(tenant, name))
    return [row["statement"] for row in grants]


async def _check_columns(
    connection: Connection,
    tenant: str,
    name: str,
    version: int,
    columns: list[dict[str, str]],
    undecided: Undecided = MappingProxyType({}),
    origins: Origins = MappingProxyType({}),
) -> None:
    published = await VERSIONS.current.fetchrow(connection, tenant=tenant, name=name)
    if published is None or published["version"] > version:
        return
    if wrong := misfits(published["columns"], columns, undecided):
        cures = restoring(published["columns"], columns, undecided, origins)
        types = json.dumps({cure.column: cure.type for cure in cures}, ensure_ascii=False)
        conditions = "".join(cure.condition for cure in cures)
        advice = f"; source.types {types} restores the old types{conditions}" if cures else ""
        raise OutputSchemaChanged(
            f"The result {name!r} has other columns than this job: {wrong}{advice}. "
            "A new version may only add columns behind those that the result has: "
            "ask for those, in their order, use a new output.name, "
            'or set output.on_schema_change to "replace"',
            errors=[
                {
                    "pointer": pointer("source", "types", cure.column),
                    "detail": f"{cure.type} restores the old type{cure.condition}",
                }
                for cure in cures
            ],
        )
