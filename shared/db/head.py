"""Whether the database's schema is at head.

Without Alembic, which only `migrate` needs: it would take a fifth of each service's start.
"""

from importlib.resources import files

from shared.db.pool import Pool
from shared.errors import NotMigrated


def head() -> str:
    """The revision of the newest migration: they are numbered, and their files named, in order."""
    names = (file.name for file in files("shared.migrations").joinpath("versions").iterdir())
    return max(name.partition("_")[0] for name in names if name.endswith(".py") and name[0].isdigit())


async def revision(pool: Pool) -> str | None:
    """The newest migration that the database has; None before the first."""
    try:
        async with pool.connection() as connection:
            found: str | None = await connection.fetchval(
                "SELECT version_num FROM gristmill_migrations.version"
            )
    except NotMigrated:
        return None
    return found


async def at_head(pool: Pool) -> bool:
    return await revision(pool) == head()
