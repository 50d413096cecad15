"""`python -m api_service serve | migrate | keys | verify`; exits with 2 when the settings are wrong."""

import argparse
import asyncio
import sys
import time

import structlog
from pydantic import ValidationError

from api_service import key_commands, verify_command
from api_service.wire.credentials import is_loopback
from shared import log
from shared.db.api_keys import ApiKeyStore
from shared.db.pool import connect
from shared.errors import DatabaseUnavailable, TransientError
from shared.process import harden
from shared.settings import DatabaseSettings, Settings

PATIENCE_SECONDS = 60
logger = structlog.get_logger()


def main() -> None:
    harden()  # at once; the gateway's log tells of it later
    parser = argparse.ArgumentParser(
        prog="python -m api_service",
        description="Gristmill's HTTP gateway. Settings are GRISTMILL_ variables.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer HTTP until SIGTERM")
    commands.add_parser("migrate", help="bring the database's schema to this version")
    key_commands.add_parsers(commands)
    verify_command.add_parser(commands)
    words = parser.parse_args()
    try:
        settings = Settings() if words.command == "serve" else DatabaseSettings()
    except ValidationError as error:
        parser.error("; ".join(f"{_variable(wrong['loc'][0])}: {wrong['msg']}" for wrong in error.errors()))
    log.configure(settings)
    if isinstance(settings, Settings):
        serve(settings, parser)
    elif words.command == "keys":
        key_commands.run(settings, words)
    elif words.command == "verify":
        verify_command.run(settings, words)
    else:
        migrate(settings)


def _variable(field: int | str) -> str:
    return "GRISTMILL_" + str(field).upper().removeprefix("GRISTMILL_")


def serve(settings: Settings, parser: argparse.ArgumentParser) -> None:
    from api_service import server  # noqa: PLC0415  # migrate needs no HTTP

    if (
        not is_loopback(settings.host)
        and settings.api_key is None
        and not asyncio.run(may_have_keys(settings))
    ):
        parser.error(
            f"GRISTMILL_HOST is {settings.host}, but there is no API key, so the gateway binds a loopback address only: 127.0.0.1 or ::1; "
            "set GRISTMILL_API_KEY, or make a key with `python -m api_service keys add NAME`"
        )
    try:
        asyncio.run(server.serve(settings))
    except OSError as error:
        sys.exit(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror or error}")


async def may_have_keys(settings: Settings) -> bool:
    """True when nobody can tell just now: such a gateway refuses every request that has no key, whatever it finds later."""
    pool = connect(settings.database_url, name="gristmill-gateway", size=1)
    try:
        return await ApiKeyStore(pool).any()
    except TransientError:
        return True
    finally:
        await pool.close()


def migrate(settings: DatabaseSettings) -> None:
    """Waits a minute for a Postgres that is still starting."""
    from shared.db.migrate import upgrade_blocking  # noqa: PLC0415  # serve needs no Alembic

    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            upgrade_blocking(settings.database_url)
        except DatabaseUnavailable as error:
            if time.monotonic() > give_up:
                sys.exit(f"Not migrated: {error.detail}")
            logger.warning("migrate.waiting", detail=error.detail)
            time.sleep(1)
        else:
            logger.info("migrate.done")
            return


if __name__ == "__main__":
    main()
