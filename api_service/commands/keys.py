"""`python -m api_service keys add NAME | list | revoke ID`."""

# ruff: noqa: T201  # a command answers on standard output

import argparse
import asyncio
import re
import sys

from api_service.auth.authenticator import CACHE_SECONDS, DEFAULT_TENANT
from api_service.auth.credentials import digest, new_key
from shared.db.api_keys import ApiKey, ApiKeyStore
from shared.db.pool import connect
from shared.errors import TransientError
from shared.settings import DatabaseSettings

_TENANT = re.compile(r"[a-z][a-z0-9_]{0,39}")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    keys = commands.add_parser("keys", help="make, list and revoke API keys")
    keys.set_defaults(run=run, settings=DatabaseSettings)
    actions = keys.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="make a key and print it, this once")
    add.add_argument("name", help="what the key is for")
    add.add_argument(
        "--tenant", type=_tenant, default=DEFAULT_TENANT, help="whose data it opens (default: %(default)s)"
    )
    actions.add_parser("list", help="the keys, without what is secret")
    actions.add_parser(
        "revoke", help=f"refuse a key from now on; gateways notice within {CACHE_SECONDS:.0f} s"
    ).add_argument("id")


def _tenant(text: str) -> str:
    """A tenant is part of folder and schema names, so it has these characters only."""
    if not _TENANT.fullmatch(text):
        raise argparse.ArgumentTypeError(
            "a tenant is a-z, 0-9 and _, begins with a letter and has at most 40 characters"
        )
    return text


def run(settings: DatabaseSettings, arguments: argparse.Namespace, *_: object) -> None:
    try:
        asyncio.run(_run(settings, arguments))
    except TransientError as error:
        sys.exit(error.detail)


async def _run(settings: DatabaseSettings, arguments: argparse.Namespace) -> None:
    pool = connect(settings.database_url, name="gristmill-keys", size=1)
    try:
        await _ACTIONS[arguments.action](ApiKeyStore(pool), arguments)
    finally:
        await pool.close()


async def _add(store: ApiKeyStore, arguments: argparse.Namespace) -> None:
    if not await store.any():
        print(_first_key_warning(arguments.tenant), file=sys.stderr)
    key = new_key()
    key_id = await store.insert(arguments.tenant, arguments.name, digest(key))
    print(f"{key_id}, for tenant {arguments.tenant}. The key is shown this once:", file=sys.stderr)
    print(key)


def _first_key_warning(tenant: str) -> str:
    """The effect of the first key on clients that have used the gateway without one."""
    refused = (
        f"This is the first key. Within {CACHE_SECONDS:.0f} s gateways refuse every request without a key."
    )
    if tenant == DEFAULT_TENANT:
        return refused
    return (
        f"{refused} What was made without one belongs to tenant {DEFAULT_TENANT}, "
        f"which a key of tenant {tenant} does not open: "
        "for that, make a key without --tenant, or set GRISTMILL_API_KEY."
    )


async def _list(store: ApiKeyStore, _: argparse.Namespace) -> None:
    for key in await store.all():
        print(_line(key))


def _line(key: ApiKey) -> str:
    times = {"made": key.created_at, "used": key.last_used_at, "revoked": key.revoked_at}
    events = [f"{event} {time:%Y-%m-%d %H:%M}" for event, time in times.items() if time]
    return "  ".join([key.id, key.tenant, ascii(key.name), *events])


async def _revoke(store: ApiKeyStore, arguments: argparse.Namespace) -> None:
    if not await store.revoke(arguments.id):
        sys.exit(f"There is no key {arguments.id}; `python -m api_service keys list` shows them")


_ACTIONS = {"add": _add, "list": _list, "revoke": _revoke}
