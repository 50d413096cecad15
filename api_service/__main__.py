"""`python -m api_service serve | migrate | keys | tenants | verify | doctor`.

Exits with 2 when the settings are wrong. `gristmill server` runs it, wherever it is installed.
"""

import argparse

from pydantic import ValidationError

from api_service.commands import doctor, keys, migrate, serve, tenants, verify
from shared import log
from shared.process import harden
from shared.settings import wrong


def main() -> None:
    harden()  # at once; the gateway's log tells of it later
    parser = argparse.ArgumentParser(
        prog="gristmill server",
        description="Gristmill's HTTP gateway. Settings are GRISTMILL_ variables.",
    )
    parser.set_defaults(wrong=lambda error, _: parser.error(wrong(error)))
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (serve, migrate, keys, tenants, verify, doctor):
        command.add_parser(commands)
    arguments = parser.parse_args()
    try:
        settings = arguments.settings()
    except ValidationError as error:
        arguments.wrong(error, arguments)
        return
    log.configure(settings)
    arguments.run(settings, arguments, parser)


if __name__ == "__main__":
    main()
