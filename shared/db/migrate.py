"""Brings the database's schema to head with Alembic."""

import asyncio
from importlib.resources import files

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.db.pool import connect, translated
from shared.db.tenants import open_all

_LOCK = 7_163_948_205  # any number: two migrators at once wait for each other


def config() -> Config:
    found = Config()
    found.set_main_option("script_location", str(files("shared.migrations")))
    return found


async def upgrade(url: str) -> None:
    """Run every migration that the database lacks, and let readers read; safe to run from many containers at once."""
    # asyncpg reads the URL itself: SQLAlchemy would hand it parameters, like sslmode, that it does not take apart
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    try:
        with translated():
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
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS gristmill_migrations"))
    alembic = config()
    alembic.attributes["connection"] = connection
    command.upgrade(alembic, "head")


def upgrade_blocking(url: str) -> None:
    asyncio.run(upgrade(url))
