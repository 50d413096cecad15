"""The command line of a benchmark; every one knows `--tiny`, and `make test` runs each of them so."""

import argparse


def parser(description: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--tiny",
        action="store_true",
        help="every step, at the least size: to see that it runs; the figures mean nothing",
    )
    return made


def whole(text: str) -> int:
    """A number like 1e7."""
    return int(float(text))
