"""`gristmill server serve`: answers HTTP until SIGTERM."""

import argparse
import asyncio
import sys

from api_service.auth.credentials import is_loopback
from shared import tracing
from shared.db.api_keys import ApiKeyStore
from shared.db.pool import connect
from shared.errors import TransientError
from shared.settings import Settings


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.add_parser("serve", help="answer HTTP until SIGTERM").set_defaults(run=run, settings=Settings)


def run(settings: Settings, _: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    from api_service import server  # noqa: PLC0415  # the other commands need no HTTP

    if (
        not is_loopback(settings.host)
        and settings.api_key is None
        and not asyncio.run(_may_have_keys(settings))
    ):
        parser.error(
            f"GRISTMILL_HOST is {settings.host}, but there is no API key, so the gateway binds a loopback "
            "address only: 127.0.0.1 or ::1; set GRISTMILL_API_KEY, or make a key with "
            "`gristmill server keys add NAME`"
        )
    tracing.configure("gateway")
    try:
        asyncio.run(server.serve(settings))
    except OSError as error:
        sys.exit(f"Cannot listen on {settings.host}:{settings.port}: {error.strerror or error}")
    finally:
        tracing.close()


async def _may_have_keys(settings: Settings) -> bool:
    """True also when the database does not answer.

    A gateway that starts then refuses every request without a key, whatever it finds later.
    """
    pool = connect(settings.database_url, name="gristmill-gateway", size=1)
    try:
        return await ApiKeyStore(pool).any()
    except TransientError:
        return True
    finally:
        await pool.close()
