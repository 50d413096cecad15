"""How much of the gateway one client may take: connections, or requests under way behind a trusted proxy."""

import ipaddress
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import TooManyConnections


class Shares:
    """Counts by `one_client`, up to `most` for each, which is set once the limit of open files is known."""

    def __init__(self, most: int = sys.maxsize) -> None:
        self.most = most
        self._taken: Counter[str] = Counter()

    def is_full(self, client: str) -> bool:
        return self._taken[client] >= self.most

    def take(self, client: str) -> None:
        self._taken[client] += 1

    def give_back(self, client: str) -> None:
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]

    @contextmanager
    def one(self, client: str) -> Iterator[None]:
        """Take one until the block ends; raises TooManyConnections."""
        if self.is_full(client):
            raise TooManyConnections(
                f"The client {client} has {self.most:,} requests under way, the most for one address "
                "(GRISTMILL_MAX_CONNECTIONS_PER_ADDRESS); try again when one is answered"
            )
        self.take(client)
        try:
            yield
        finally:
            self.give_back(client)


def one_client(address: str) -> str:
    """An IPv4 address itself, and of IPv6 the network of 64 bits: one client has that whole."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network(f"{address}/64", strict=False))
