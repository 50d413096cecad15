"""`python -m api_service keys add NAME | list | revoke ID`."""

# ruff: noqa: T201  # what a command answers goes to standard output

import argparse
import asyncio
import re
import sys

from api_service.services.access import DEFAULT_TENANT, KNOWN_SECONDS
from api_service.wire.credentials import digest, new_key
from shared.db.api_keys import ApiKey, ApiKeyStore
from shared.db.pool import connect
from shared.errors import TransientError
from shared.settings import DatabaseSettings

_TENANT = re.compile(r"[a-z][a-z0-9_]{0,39}")


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    keys = commands.add_parser("keys", help="make, list and revoke API keys").add_subparsers(
        dest="action", required=True
    )
    add = keys.add_parser("add", help="make a key and print it, this once")
    add.add_argument("name", help="what the key is for")
    add.add_argument(
        "--tenant", type=_tenant, default=DEFAULT_TENANT, help="whose data it opens (default: %(default)s)"
    )
    keys.add_parser("list", help="the keys, without what is secret")
    keys.add_parser(
        "revoke", help=f"refuse a key from now on; gateways notice within {KNOWN_SECONDS:.0f} s"
    ).add_argument("id")


def _tenant(text: str) -> str:
    """Part of folder and schema names, so nothing but these characters."""
    if not _TENANT.fullmatch(text):
        raise argparse.ArgumentTypeError(
            "a tenant is a-z, 0-9 and _, begins with a letter and has at most 40 characters"
        )
    return text


def run(settings: DatabaseSettings, words: argparse.Namespace) -> None:
    try:
        asyncio.run(_run(settings, words))
    except TransientError as error:
        sys.exit(error.detail)


async def _run(settings: DatabaseSettings, words: argparse.Namespace) -> None:
    pool = connect(settings.database_url, name="gristmill-keys", size=1)
    try:
        await _ACTIONS[words.action](ApiKeyStore(pool), words)
    finally:
        await pool.close()


async def _add(store: ApiKeyStore, words: argparse.Namespace) -> None:
    if not await store.any():
        print(_of_the_first(words.tenant), file=sys.stderr)
    key = new_key()
    key_id = await store.insert(words.tenant, words.name, digest(key))
    print(f"{key_id}, for tenant {words.tenant}. The key is shown this once:", file=sys.stderr)
    print(key)


def _of_the_first(tenant: str) -> str:
    """What the first key changes for those who have used the gateway without one."""
    said = f"This is the first key. Within {KNOWN_SECONDS:.0f} s gateways refuse every request without a key."
    if tenant == DEFAULT_TENANT:
        return said
    return (
        f"{said} What was made without one belongs to tenant {DEFAULT_TENANT}, which a key of tenant {tenant} does not open:"
        f" for that, make a key without --tenant, or set GRISTMILL_API_KEY."
    )


async def _list(store: ApiKeyStore, _: argparse.Namespace) -> None:
    for key in await store.all():
        print(_line(key))


def _line(key: ApiKey) -> str:
    times = {"made": key.created_at, "used": key.last_used_at, "revoked": key.revoked_at}
    said = [f"{word} {time:%Y-%m-%d %H:%M}" for word, time in times.items() if time]
    return "  ".join([key.id, key.tenant, ascii(key.name), *said])


async def _revoke(store: ApiKeyStore, words: argparse.Namespace) -> None:
    if not await store.revoke(words.id):
        sys.exit(f"There is no key {words.id}; `python -m api_service keys list` shows them")


_ACTIONS = {"add": _add, "list": _list, "revoke": _revoke}
