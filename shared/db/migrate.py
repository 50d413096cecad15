"""Brings the database's schema to head with Alembic."""

import asyncio
from contextlib import suppress
from importlib.resources import files

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from shared.db.pool import connect, translated
from shared.db.tenants import open_all


def config() -> Config:
    found = Config()
    found.set_main_option("script_location", str(files("shared.migrations")))
    return found


async def upgrade(url: str) -> None:
    """Run every migration that the database lacks, and let readers read.

    Safe to run from many containers at once.
    """
    # asyncpg reads the URL itself: SQLAlchemy would hand it parameters, like sslmode, that it does not take
    # apart
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    try:
        with translated():
            # SQLAlchemy would wrap the error of a login that is refused.
            await (await asyncpg.connect(url)).close()
            with suppress(IntegrityError):  # another migrator has just made it
                async with engine.begin() as connection:
                    await connection.execute(text("CREATE SCHEMA IF NOT EXISTS gristmill_migrations"))
            async with engine.begin() as connection:
                await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()
    pool = connect(url, name="gristmill-migrate", size=1)
    try:
        await open_all(pool)
    finally:
        await pool.close()


def _upgrade(connection: Connection) -> None:
    # Two migrators at once wait for each other here. Only the owner gets at this lock; an advisory one every
    # login may take and keep.
    connection.execute(text("COMMENT ON SCHEMA gristmill_migrations IS 'Which migrations have run'"))
    alembic = config()
    alembic.attributes["connection"] = connection
    command.upgrade(alembic, "head")


def upgrade_blocking(url: str) -> None:
    asyncio.run(upgrade(url))
