"""The service that a command speaks to: one that is named, or an embedded one."""

import logging
import os
import shlex
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gristmill.cli.embedded import embedded
from gristmill.cli.mistakes import Mistake
from gristmill.cli.options import Service
from gristmill.cli.talk import is_terminal, say

if TYPE_CHECKING:
    from gristmill import Client
    from gristmill.launcher.embedded import Ready

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
PROBE_SECONDS = 5.0


class Unreached(Exception):
    """Nothing answers at the service's address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"No Gristmill answers at {url} ({reason}). Start one with `gristmill standalone`, "
            "or name another with --url or GRISTMILL_URL."
        )


@dataclass(frozen=True, slots=True)
class Reached:
    """An open client.

    `ends` says that the service ends with this command, `named` that a later command may need its --url.
    """

    client: "Client"
    where: Service
    ends: bool = False
    named: bool = True

    def command(self, *words: str) -> str:
        """A command line that speaks to the same service."""
        named = self.named and self.where.url and self.where.url != os.environ.get("GRISTMILL_URL")
        return shlex.join(["gristmill", *words, *(["--url", str(self.where.url)] if named else [])])


@contextmanager
def connected(
    where: Service, *, quiet: bool = False, ends: bool = False, named: bool = True
) -> Iterator[Reached]:
    """The service at `--url`, else at the default address. Raises Unreached, or Mistake for a wrong URL."""
    import httpx2

    from gristmill import Client
    from gristmill.client import transport

    url = where.url or transport.DEFAULT_URL
    _probe(url)
    _log_to_stderr(logging.ERROR if quiet else logging.WARNING if is_terminal() else logging.INFO)
    try:
        client = Client(url, where.api_key, progress=False if quiet else "auto")
    except (ValueError, httpx2.InvalidURL) as error:
        raise Mistake(f"--url {url}: {error}") from error
    with client:
        yield Reached(client, where, ends, named)


def _probe(url: str) -> None:
    """Say at once that nothing listens there: the client would try for up to a minute.

    Behind a proxy only the client can tell.
    """
    from urllib.request import getproxies

    parts = urlsplit(url)
    if not parts.hostname or (parts.hostname not in LOOPBACK and getproxies()):
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=PROBE_SECONDS).close()
    except ValueError:
        return  # the client names the fault of the URL
    except OSError as error:
        raise Unreached(url, error.strerror or str(error)) from error


class _Talk(logging.Handler):
    """Above the bars of a terminal too: they stand in for sys.stderr, which `say` asks for each time."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def _log_to_stderr(level: int) -> None:
    """The remarks of the client as lines; its progress is one where there are no bars."""
    logger = logging.getLogger("gristmill")
    logger.handlers = [_Talk()]
    logger.setLevel(level)


@contextmanager
def own(folders: Sequence[str], kept: Path | None, *, quiet: bool) -> Iterator[Reached]:
    """An embedded service whose jobs may read *folders*; one with the folder *kept* goes on there.

    Raises NotStarted.
    """
    with ExitStack() as ends:
        with _waiting("Starting Gristmill", quiet=quiet):
            ready = ends.enter_context(embedded(folders, kept))
        if kept:
            ends.callback(_tell_kept, ready)
        where = Service(url=ready["url"], api_key=ready["api_key"])
        yield ends.enter_context(connected(where, quiet=quiet, ends=kept is None, named=False))


@contextmanager
def _waiting(text: str, *, quiet: bool) -> Iterator[None]:
    """Show that something is under way, on a terminal."""
    if quiet or not is_terminal():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{text}…"):
        yield


def _tell_kept(ready: "Ready") -> None:
    """Say how to reach and stop a service that goes on."""
    named = f"GRISTMILL_URL={ready['url']}", f"GRISTMILL_API_KEY={ready['api_key']}"
    say(
        f"Gristmill goes on running at {ready['url']}; its data is in {ready['folder']}.",
        f"  Use it:   {shlex.join(['export', *named])}",
        f"  In SQL:   psql {shlex.quote(ready['dsn'])}",
        f"  Stop it:  kill {ready['pid']}",
    )
