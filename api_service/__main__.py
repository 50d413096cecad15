"""`python -m api_service serve | migrate`; exits with 2 when the settings are wrong."""

import argparse
import asyncio
import sys
import time

import structlog
from pydantic import ValidationError

from shared import log
from shared.db.migrate import upgrade_blocking
from shared.errors import DatabaseUnavailable
from shared.settings import Settings

PATIENCE_SECONDS = 60
logger = structlog.get_logger()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m api_service", description="Gristmill's HTTP gateway. Settings are GRISTMILL_ variables."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer HTTP until SIGTERM")
    commands.add_parser("migrate", help="bring the database's schema to this version")
    command = parser.parse_args().command
    try:
        settings = Settings()
    except ValidationError as error:
        parser.error("; ".join(f"{_variable(wrong['loc'][0])}: {wrong['msg']}" for wrong in error.errors()))
    log.configure(settings)
    if command == "migrate":
        migrate(settings)
    else:
        serve(settings, parser)


def _variable(field: int | str) -> str:
    return "GRISTMILL_" + str(field).upper().removeprefix("GRISTMILL_")


def serve(settings: Settings, parser: argparse.ArgumentParser) -> None:
    from api_service import server  # noqa: PLC0415  # migrate needs no HTTP

    if not server.is_loopback(settings.host):
        parser.error(
            f"GRISTMILL_HOST is {settings.host}, but there are no API keys yet, so the gateway binds a loopback address only: 127.0.0.1 or ::1"
        )
    try:
        asyncio.run(server.serve(settings))
    except OSError as error:
        sys.exit(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror or error}")


def migrate(settings: Settings) -> None:
    """Waits a minute for a Postgres that is still starting."""
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
