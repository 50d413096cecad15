"""`gristmill server tenants list | show TENANT | set TENANT LIMIT=VALUE… | unset TENANT LIMIT…`."""

# ruff: noqa: T201  # a command answers on standard output

import argparse
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict

from api_service.audit import by_operator
from api_service.commands.database import with_pool
from api_service.commands.keys import tenant_name
from shared.core.limits import NAMES, UNLIMITED, Limits, meant
from shared.db.limits import LimitStore
from shared.settings import TenantSettings
from shared.spec.names import did_you_mean, quote

_UNITS = {"": 1} | {f"{letter}": 1000**no for no, letter in enumerate("kMGT", 1)}
_UNITS |= {f"{letter}i": 1024**no for no, letter in enumerate("KMGT", 1)}
_VALUE = re.compile(r"([0-9]{1,12})((?:[kMGT]|[KMGT]i)?)B?")
_LEAST = {"running_jobs": 1, "requests_per_second": 1}


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    tenants = commands.add_parser("tenants", help="show and set the limits of tenants")
    tenants.set_defaults(run=run, settings=TenantSettings)
    actions = tenants.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the tenants, with the limits that each has of its own")
    show = actions.add_parser("show", help="the limits of a tenant, and what it uses of them")
    put = actions.add_parser("set", help="give a tenant limits of its own, such as queued_jobs=100")
    unset = actions.add_parser("unset", help="give a tenant the default of the settings again")
    for action in (show, put, unset):
        action.add_argument("tenant", type=tenant_name)
    put.add_argument(
        "changes",
        nargs="+",
        type=_change,
        metavar="LIMIT=VALUE",
        help=f"a number, with k, M, G, T or Ki, Mi, Gi, Ti if you like, or none; limits: {', '.join(NAMES)}",
    )
    unset.add_argument("changes", nargs="+", type=_default, metavar="LIMIT")


def _name(text: str) -> str:
    if text not in NAMES:
        there_are = f"; there are {', '.join(NAMES)}"
        raise argparse.ArgumentTypeError(f"{quote(text)} is no limit{did_you_mean(text, NAMES) or there_are}")
    return text


def _change(text: str) -> tuple[str, int]:
    name, equals, value = text.partition("=")
    name = _name(name)
    if value == "none":
        return name, UNLIMITED
    found, least = _VALUE.fullmatch(value), _LEAST.get(name, 0)
    if not equals or found is None or (number := int(found[1]) * _UNITS[found[2]]) < least:
        raise argparse.ArgumentTypeError(
            f"{quote(text)} gives no value: write {name}=NUMBER, at least {least}, such as {name}=100 or "
            f"{name}=20Gi, or {name}=none"
        )
    if number >= UNLIMITED:
        raise argparse.ArgumentTypeError(
            f"{quote(text)} is too large: write a number below {UNLIMITED:,}, or {name}=none for no limit"
        )
    return name, number


def _default(text: str) -> tuple[str, None]:
    return _name(text), None


def run(settings: TenantSettings, arguments: argparse.Namespace, *_: object) -> None:
    action, defaults = _ACTIONS[arguments.action], Limits.of(settings)
    with_pool(settings, "gristmill-tenants", lambda pool: action(LimitStore(pool, defaults), arguments))


async def _list(store: LimitStore, _: argparse.Namespace) -> None:
    for tenant, own in (await store.own()).items():
        limits = [f"{name}={_shown(meant(value))}" for name, value in own.items() if value is not None]
        print("  ".join([tenant, *limits]))


async def _show(store: LimitStore, arguments: argparse.Namespace) -> None:
    known = await store.own()
    await _tell(store, arguments.tenant, known.get(arguments.tenant, {}))
    _check_known(arguments.tenant, known)


async def _tell(store: LimitStore, tenant: str, own: Mapping[str, int | None]) -> None:
    limits, used = asdict(await store.get(tenant)), asdict(await store.use(tenant))
    for name, limit in limits.items():
        whose = "its own" if own.get(name) is not None else "the default"
        use = f"  used {used[name]:,}" if name in used else ""
        print(f"{name}  {_shown(limit)} ({whose}){use}")


def _check_known(tenant: str, known: Collection[str]) -> None:
    """Exit with 1 for a tenant that has no limits, keys, jobs or uploads: its name may be misspelt."""
    if tenant not in known:
        lists = "; `gristmill server tenants list` shows those that are"
        sys.exit(f"Tenant {tenant} is not known{did_you_mean(tenant, known) or lists}")


async def _set(store: LimitStore, arguments: argparse.Namespace) -> None:
    changes = dict(arguments.changes)
    await store.set(arguments.tenant, changes)
    logged = {name: _logged(change) for name, change in changes.items()}
    by_operator("tenant.set", arguments.tenant, arguments.tenant, limits=logged)
    await _show(store, arguments)


async def _unset(store: LimitStore, arguments: argparse.Namespace) -> None:
    _check_known(arguments.tenant, await store.own())
    await _set(store, arguments)


def _shown(limit: int | None) -> str:
    return "none" if limit is None else f"{limit:,}"


def _logged(change: int | None) -> int | str | None:
    return "default" if change is None else meant(change)


_ACTIONS = {"list": _list, "show": _show, "set": _set, "unset": _unset}
