"""A TCP proxy before Postgres or Redis that misbehaves on command.

It lives in a thread of its own; every method may be called from anywhere.

with ChaosProxy(database_url) as proxy: stack = Stack(proxy.url, ...) proxy.black_hole()
# no byte goes either way, no connection ends proxy.heal() proxy.reset()                                     #
RST for every connection that is open proxy.refuse()                                    # and for every new
one, until `heal` proxy.latency = 0.05                              # seconds before each piece of data
proxy.lose_commit_replies("SET state = 'done'")   # the transaction is committed, its client hears only RST
proxy.cut_before("COMMIT")                        # the client's statement never arrives proxy.cut_copies()
# RST in the middle of a COPY proxy.faults                                      # how many of those really
happened
"""

import asyncio
import contextlib
import itertools
import random
import socket
import struct
import threading
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from tests.support.wire_reader import Frontend

PIECE = 64 * 1024
ANY = ""
WRITES = ("INSERT INTO", "UPDATE gristmill", "DELETE FROM")


class Cut(Exception):
    """The connection that this was raised for shall end with RST.

    `share` of the present piece of data goes through before.
    """

    def __init__(self, share: float = 0.0) -> None:
        super().__init__()
        self.share = share


class Link:
    """One client's connection and its connection to the server."""

    def __init__(
        self, proxy: "ChaosProxy", client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self.proxy, self._client, self._server = proxy, client, server
        self._transaction: list[str] = []
        self._begun = False
        self._lose_reply = False
        self.frontend = Frontend(self._statement, self._copy)

    async def upward(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(PIECE):
            if self.proxy.speaks_postgres:
                try:
                    self.frontend.feed(data)
                except Cut as cut:
                    self._server.write(data[: int(len(data) * cut.share)])
                    raise
            await self.proxy.passage(self.frontend.application_name)
            self._server.write(data)
            await self._server.drain()

    async def downward(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(PIECE):
            if self._lose_reply:
                raise Cut
            await self.proxy.passage(self.frontend.application_name)
            self._client.write(data)
            await self._client.drain()

    def _statement(self, sql: str) -> None:
        if sql.startswith("BEGIN") or not self._begun:
            self._begun = sql.startswith("BEGIN")
            self._transaction.clear()
        self._transaction.append(sql)
        if self.proxy.takes("cut", sql):
            raise Cut
        if sql.startswith("COMMIT") or (not self._begun and any(word in sql for word in WRITES)):
            self._begun = False
            self._lose_reply = self.proxy.takes("commit", "\n".join(self._transaction))

    def _copy(self) -> None:
        if self.proxy.takes("copy", "\n".join(self._transaction)):
            raise Cut(share=0.5)

    def reset(self) -> None:
        for writer in (self._client, self._server):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            writer.transport.abort()


class ChaosProxy:
    """`url` leads to the same server, through the proxy."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = parts.hostname, parts.port
        self.speaks_postgres = parts.scheme.startswith("postgres")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = urlunsplit(
            parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self.port}".lstrip("@"))
        )
        self.latency = 0.0
        self.faults = 0
        self._orders: dict[str, Callable[[str], bool]] = {}
        self._swallowed: str | None = None
        self._refusing = False
        self._links: set[Link] = set()
        self._loop: asyncio.AbstractEventLoop
        self._healed, self._ended = asyncio.Event(), asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name=f"chaos-proxy-{self.port}", daemon=True
        )

    def __enter__(self) -> "ChaosProxy":
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._ended.set)
        self._thread.join()

    def black_hole(self, application_name: str = ANY) -> None:
        """Swallow everything, or what the connections with this application name say and hear."""
        self._call(lambda: (self._healed.clear(), setattr(self, "_swallowed", application_name)))

    def refuse(self) -> None:
        self._call(lambda: (setattr(self, "_refusing", True), self._reset()))

    def reset(self) -> None:
        self._call(self._reset)

    def heal(self) -> None:
        """Behave; what was swallowed in a black hole arrives now, as TCP would have it."""
        self.latency = 0.0
        self._orders.clear()
        self._call(
            lambda: (setattr(self, "_swallowed", None), setattr(self, "_refusing", False), self._healed.set())
        )

    def lose_commit_replies(
        self, statement: str = ANY, *, times: int = 1, odds: float = 1.0, seed: int = 0
    ) -> None:
        """Let the server commit, but keep its answer from the client.

        This holds for transactions that contain *statement*, and for writes outside a transaction.
        """
        self._orders["commit"] = _order(statement, times, odds, seed)

    def cut_before(self, statement: str, *, times: int = 1, odds: float = 1.0, seed: int = 0) -> None:
        self._orders["cut"] = _order(statement, times, odds, seed)

    def cut_copies(self, *, after: int = 1, times: int = 1) -> None:
        """Within the message number *after* of COPY's data."""
        passed = itertools.count(1)
        order = _order(ANY, times, 1.0, 0)
        self._orders["copy"] = lambda sql: next(passed) >= after and order(sql)

    def takes(self, what: str, sql: str) -> bool:
        order = self._orders.get(what)
        taken = order is not None and order(sql)
        self.faults += taken
        return taken

    async def passage(self, application_name: str) -> None:
        """Return when a piece of data may go on."""
        if self.latency:
            await asyncio.sleep(self.latency)
        while self._swallowed is not None and self._swallowed in {ANY, application_name}:
            await self._healed.wait()

    def _call(self, change: Callable[[], object]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (change(), done.set()))
        assert done.wait(10)

    def _reset(self) -> None:
        for link in set(self._links):
            link.reset()
            self.faults += 1

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, sock=self._listener)
        self._started.set()
        await self._ended.wait()
        server.close()
        self._swallowed = None
        self._healed.set()
        self._reset()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
        await asyncio.sleep(0)  # closed transports let go of their sockets in the next turn of the loop

    async def _serve(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            if self._refusing:
                raise ConnectionError
            from_server, server = await asyncio.open_connection(*self._target)
        except OSError:
            client.transport.abort()
            return
        link = Link(self, client, server)
        self._links.add(link)
        pumps = {
            asyncio.create_task(link.upward(from_client)),
            asyncio.create_task(link.downward(from_server)),
        }
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if any(isinstance(pump.exception(), Cut) for pump in done):
                link.reset()
        finally:
            self._links.discard(link)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for writer in (client, server):
                writer.close()


def _order(statement: str, times: int, odds: float, seed: int) -> Callable[[str], bool]:
    """True for the next *times* texts that contain *statement*, each with these odds."""
    left, dice = [times], random.Random(seed)

    def order(sql: str) -> bool:
        taken = left[0] > 0 and statement in sql and dice.random() < odds
        left[0] -= taken
        return taken

    return order
