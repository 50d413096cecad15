"""`gristmill server keys add NAME | list | revoke ID`."""

# ruff: noqa: T201  # a command answers on standard output

import argparse
import re
import sys
from datetime import timedelta

from api_service.audit import by_operator
from api_service.auth.authenticator import CACHE_SECONDS, DEFAULT_TENANT
from api_service.auth.credentials import digest, new_key
from api_service.auth.rights import SCOPES
from api_service.commands.database import with_pool
from shared.core.entities import ApiKey
from shared.db.api_keys import ApiKeyStore
from shared.db.jobs import JobStore
from shared.db.pool import Pool
from shared.settings import DatabaseSettings
from shared.spec.values import parse_duration

_TENANT = re.compile(r"[a-z][a-z0-9_]{0,39}")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    keys = commands.add_parser("keys", help="make, list and revoke API keys")
    keys.set_defaults(run=run, settings=DatabaseSettings)
    actions = keys.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="make a key and print it, this once")
    add.add_argument("name", help="what the key is for")
    add.add_argument(
        "--tenant",
        type=tenant_name,
        default=DEFAULT_TENANT,
        help="whose data it opens (default: %(default)s)",
    )
    add.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        help="what it may do, any number of times (default: admin); submit includes read and upload",
    )
    add.add_argument("--expires", type=_lifetime, metavar="15m", help="how long it lasts (default: for ever)")
    add.add_argument("--job", metavar="job_ID", help="the only job that it opens (default: every job)")
    actions.add_parser("list", aliases=["ls"], help="the keys, without what is secret")
    actions.add_parser(
        "revoke", help=f"refuse a key from now on; gateways notice within {CACHE_SECONDS:.0f} s"
    ).add_argument("id")


def tenant_name(text: str) -> str:
    """A tenant is part of folder and schema names, so it has these characters only."""
    if not _TENANT.fullmatch(text):
        raise argparse.ArgumentTypeError(
            "a tenant is a-z, 0-9 and _, begins with a letter and has at most 40 characters"
        )
    return text


def _lifetime(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(settings: DatabaseSettings, arguments: argparse.Namespace, *_: object) -> None:
    action = _ACTIONS[arguments.action]
    with_pool(settings, "gristmill-keys", lambda pool: action(pool, settings, arguments))


async def _add(pool: Pool, settings: DatabaseSettings, arguments: argparse.Namespace) -> None:
    store, tenant, job = ApiKeyStore(pool), arguments.tenant, arguments.job
    if job is not None and await JobStore(pool).get(tenant, job) is None:
        sys.exit(f"Tenant {tenant} has no job {job}")
    if settings.api_key is None and not await store.any():
        print(_first_key_warning(tenant), file=sys.stderr)
    text = new_key()
    key = await store.insert(
        tenant,
        arguments.name,
        digest(text),
        scopes=arguments.scope or ["admin"],
        job=job,
        lasts=arguments.expires,
    )
    by_operator("key.create", key.id, tenant)
    print(f"{key.id}, for tenant {tenant}. The key is shown this once:", file=sys.stderr)
    print(text)


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


async def _list(pool: Pool, _: DatabaseSettings, __: argparse.Namespace) -> None:
    for key in await ApiKeyStore(pool).all():
        print(_line(key))


def _line(key: ApiKey) -> str:
    times = {
        "made": key.created_at, "used": key.last_used_at, "ends": key.expires_at, "revoked": key.revoked_at
    }  # fmt: skip
    limits = [*([key.job] if key.job else []), *([f"made by {key.parent}"] if key.parent else [])]
    events = [f"{event} {time:%Y-%m-%d %H:%M}" for event, time in times.items() if time]
    return "  ".join([key.id, key.tenant, ascii(key.name), ",".join(key.scopes), *limits, *events])


async def _revoke(pool: Pool, _: DatabaseSettings, arguments: argparse.Namespace) -> None:
    tenant = await ApiKeyStore(pool).revoke(arguments.id)
    if tenant is None:
        sys.exit(f"There is no key {arguments.id}; `gristmill server keys list` shows them")
    by_operator("key.revoke", arguments.id, tenant)


_ACTIONS = {"add": _add, "list": _list, "ls": _list, "revoke": _revoke}
