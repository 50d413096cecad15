"""The command `gristmill`. A command imports its needs when it runs, so that `--help` is quick."""

from gristmill.cli.main import app

__all__ = ["app"]
