"""`gristmill server doctor [--output json]`: checks an installation, and says how to mend it.

Exits with 1 when there is an error; warnings leave it at 0.
"""

# ruff: noqa: T201  # a command answers on standard output

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence

import msgspec
from pydantic import ValidationError

from api_service.doctor.finding import Finding
from shared.settings import Settings, faults


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    doctor = commands.add_parser(
        "doctor", help="check settings, rights, versions, clocks, storage and servers; changes nothing"
    )
    doctor.add_argument("--output", choices=("table", "json", "ndjson"), default="table")
    doctor.set_defaults(run=run, settings=Settings, wrong=wrong)


def run(settings: Settings, arguments: argparse.Namespace, *_: object) -> None:
    from api_service.doctor.checks import verdicts  # noqa: PLC0415  # the other commands need none of it
    from api_service.doctor.look import look  # noqa: PLC0415

    _tell(verdicts(asyncio.run(look(settings))), arguments.output)


def wrong(error: ValidationError, arguments: argparse.Namespace) -> None:
    """Settings that cannot be read are findings too; without them nothing else is known."""
    _tell(
        [
            Finding(
                check="settings",
                level="error",
                found=f"{name}: {fault}",
                advice=f"Set {name}; docs/settings.md describes it",
            )
            for name, fault in faults(error)
        ],
        arguments.output,
    )


def _tell(findings: Sequence[Finding], shape: str) -> None:
    documents = msgspec.to_builtins(findings)
    if shape == "json":
        print(json.dumps(documents, indent=2))
    elif shape == "ndjson":
        print(*map(json.dumps, documents), sep="\n")
    else:
        width = max(len(each.check) for each in findings)
        for each in findings:
            print(f"{each.level:<7}  {each.check:<{width}}  {each.found}")
            if each.advice:
                print(f"{'':<7}  {'':<{width}}  -> {each.advice}")
    sys.exit(any(each.level == "error" for each in findings))
