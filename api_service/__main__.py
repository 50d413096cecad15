"""`python -m api_service serve | migrate | keys | verify`; exits with 2 when the settings are wrong.

`gristmill server` runs it, wherever it is installed.
"""

import argparse

from pydantic import ValidationError

from api_service.commands import keys, migrate, serve, verify
from shared import log
from shared.process import harden


def main() -> None:
    harden()  # at once; the gateway's log tells of it later
    parser = argparse.ArgumentParser(
        prog="gristmill server",
        description="Gristmill's HTTP gateway. Settings are GRISTMILL_ variables.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (serve, migrate, keys, verify):
        command.add_parser(commands)
    arguments = parser.parse_args()
    try:
        settings = arguments.settings()
    except ValidationError as error:
        parser.error("; ".join(f"{_variable(wrong['loc'][0])}: {wrong['msg']}" for wrong in error.errors()))
    log.configure(settings)
    arguments.run(settings, arguments, parser)


def _variable(field: int | str) -> str:
    return "GRISTMILL_" + str(field).upper().removeprefix("GRISTMILL_")


if __name__ == "__main__":
    main()
