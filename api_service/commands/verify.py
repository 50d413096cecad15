"""`gristmill server verify [--deep]`.

Exits with 0 when every invariant holds, with 1 when one is broken, with 2 when it cannot be checked.
"""

# ruff: noqa: T201  # a command answers on standard output

import argparse
import sys

import structlog

from api_service.commands.database import with_pool
from shared.db.pool import Pool
from shared.db.verify import INVARIANTS, counts, violations
from shared.settings import DatabaseSettings

log = structlog.get_logger()


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    verify = commands.add_parser(
        "verify", help="check the database against every invariant; safe at any time"
    )
    verify.add_argument("--deep", action="store_true", help="also count the rows of every result table")
    verify.set_defaults(run=run, settings=DatabaseSettings)


def run(settings: DatabaseSettings, arguments: argparse.Namespace, *_: object) -> None:
    try:
        broken = with_pool(
            settings, "gristmill-verify", lambda pool: _verify(pool, deep=arguments.deep), away=2
        )
    except Exception:  # 1 would say that an invariant is broken, which is not known
        log.exception("verify.bug")
        sys.exit(2)
    sys.exit(1 if broken else 0)


async def _verify(pool: Pool, *, deep: bool) -> list[str]:
    found = await violations(pool, deep=deep)
    seen = ", ".join(f"{count:,} {what}" for what, count in (await counts(pool)).items())
    print(
        *found,
        f"{len(found)} violations in {seen}" if found else f"All {len(INVARIANTS)} invariants hold: {seen}",
        sep="\n",
    )
    return found
