"""The schema of a tenant's views, and the role that may read its results.

The schema is made with the tenant's first named result. The role cannot log in; an operator grants it to
logins. Roles belong to the whole cluster: another database's Gristmill may have made it, or an administrator,
where this session's role may not.
"""

from contextlib import suppress
from functools import cache

import asyncpg
import structlog

from shared.core.relations import reader_role, view_schema
from shared.db import result_tables as ddl
from shared.db.pool import Connection, Pool, Record
from shared.db.statements import TENANTS
from shared.errors import OutputNotPermitted

log = structlog.get_logger()


async def prepare(tx: Connection, tenant: str, *, named: bool) -> str | None:
    """The tenant's reader; None if there is none and this session's role may not make it.

    Makes role and schema if they are missing, the schema only for a *named* result. Raises OutputNotPermitted
    if that cannot be made or used.
    """
    reader, schema = reader_role(tenant), view_schema(tenant)
    [found] = await TENANTS.rights.fetch(tx, role=reader, schema=schema)
    if _lacks(found, named=named):
        await TENANTS.lock.execute(tx)
        [found] = await TENANTS.rights.fetch(tx, role=reader, schema=schema)
    if named:
        _check_permitted(found, schema)
    made = named and not found["schema"]
    if made:
        await tx.execute(ddl.create_view_schema(tenant))
    if not found["reader"]:
        if not found["may_create_role"]:
            _tell(reader, found["me"])
            return None
        with suppress(
            asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError
        ):  # another database of the cluster was first
            async with tx.transaction():
                await tx.execute(ddl.create_reader(tenant))
    if made or (found["owned"] and not found["open"]):
        await tx.execute(ddl.open_view_schema(tenant))
    return reader


def _lacks(found: Record, *, named: bool) -> bool:
    """Whether something is to be made or granted."""
    enters = found["open"] or not found["owned"]
    return (named and not found["schema"]) or (not enters if found["reader"] else found["may_create_role"])


def _check_permitted(found: Record, schema: str) -> None:
    if not found["schema"] and not found["may_create_schema"]:
        cure = f"GRANT CREATE ON DATABASE {found['database']} TO {found['me']}"
        raise OutputNotPermitted(
            f"There is no schema {schema}, and the service may not make it; "
            f"let it, with {cure}, and retry the job"
        )
    if found["schema"] and not found["writable"]:
        cure = f"ALTER SCHEMA {schema} OWNER TO {found['me']}"
        raise OutputNotPermitted(
            f"The service may not make a view in schema {schema}; let it, with {cure}, and retry the job"
        )


@cache  # said once in the life of a process
def _tell(reader: str, me: str) -> None:
    detail = (
        f"there is no role {reader}, and {me} may not make it: CREATE ROLE {reader}, "
        "then run `gristmill server migrate`"
    )
    log.warning("reader.missing", error=detail)


async def open_all(pool: Pool) -> None:
    """Let the readers of every tenant read results published before they could, or before a restore."""
    async with pool.transaction() as tx:
        await TENANTS.lock.execute(tx)
        await TENANTS.let_in.execute(tx)
        for row in await TENANTS.known.fetch(tx):
            tenant = row["tenant"]
            if reader := await prepare(tx, tenant, named=False):
                await TENANTS.hold.execute(tx, tenant=tenant)
                unread = await TENANTS.unread.fetch(
                    tx, tenant=tenant, role=reader, schema=view_schema(tenant)
                )
                for schema, relation in unread:
                    with suppress(asyncpg.UndefinedTableError):  # pruned since
                        async with tx.transaction():
                            await tx.execute(ddl.grant_select(schema, relation, reader))
