"""Words for the user, on standard error: standard output is for data."""

import os
import sys
from collections.abc import Mapping


def say(*lines: str) -> None:
    for line in lines:
        print(visible(line, "\n"), file=sys.stderr, flush=True)  # noqa: T201  # the one place that talks


def named(text: str, names: Mapping[str, str]) -> str:
    """*text* with the URIs of uploads and files replaced by the names that the user gave."""
    for uri in sorted(names, key=len, reverse=True):  # one may begin another
        text = text.replace(uri, names[uri])
    return text


def visible(text: str, allowed: str = "") -> str:
    """*text* with its control characters written as escapes: data must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in allowed else sign.encode("unicode_escape").decode()
        for sign in text
    )


def is_terminal() -> bool:
    """Whether standard error is a terminal that can redraw a line."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
