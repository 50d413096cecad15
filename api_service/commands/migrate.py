"""`gristmill server migrate`: brings the database's schema to this version."""

import argparse
import logging
import sys
import time

import structlog

from shared.db.pool import is_refused, unavailable
from shared.errors import DatabaseUnavailable
from shared.settings import DatabaseSettings

PATIENCE_SECONDS = 60
"""How long a Postgres that is still starting is waited for."""
log = structlog.get_logger()


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    migrate = commands.add_parser("migrate", help="bring the database's schema to this version")
    migrate.set_defaults(run=run, settings=DatabaseSettings)


def run(settings: DatabaseSettings, *_: object) -> None:
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # seven lines at its import
    from shared.db.migrate import upgrade_blocking  # noqa: PLC0415  # the other commands need no Alembic

    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            upgrade_blocking(settings.database_url)
        except DatabaseUnavailable as error:
            if is_refused(error) or time.monotonic() > give_up:
                sys.exit(f"Not migrated: {unavailable(error)}")
            log.warning("migrate.waiting", error=unavailable(error))
            time.sleep(1)
        else:
            log.info("migrate.done")
            return
