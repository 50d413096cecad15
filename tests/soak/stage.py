"""The stage of the faults: a fault takes a target that no other fault holds, and gives it back alive."""

import signal
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random

import psycopg
import redis

from shared.core.retry import RULES, Cause
from tests.soak.cluster import Cluster, Node
from tests.soak.watch import Held, Watch, held_by

CATCH_TRIES = 50

Fault = Generator[float, None, None]


class NoTarget(Exception):
    """Every possible target of this fault is held already."""


@dataclass
class Stage:
    """The cluster, and the targets in it that are free.

    `struck` collects the jobs whose unit was held by a process that was struck; `{"*"}` means all.
    """

    cluster: Cluster
    watch: Watch
    chance: Random
    struck: set[str]
    target: str = ""

    @property
    def scale(self) -> float:
        return self.cluster.time_scale

    def lasting(self, shortest: float, longest: float) -> float:
        """A random time between two numbers of protocol seconds."""
        return self.chance.uniform(shortest, longest) * self.scale

    @contextmanager
    def held(self, nodes: list[Node], most: int) -> Iterator[Node]:
        """One of these that no other fault holds, unless *most* are held already.

        At the end it is up and runs.
        """
        free = [node for node in nodes if not node.held]
        if not free or sum(node.held for node in nodes) >= most:
            raise NoTarget
        node = self.chance.choice(free)
        node.held, self.target = True, node.name
        try:
            yield node
        finally:
            node.signal(signal.SIGCONT)
            if not node.alive:
                node.start()
            node.held = False

    @contextmanager
    def busy_worker(self) -> Iterator[tuple[Node, list[Held]]]:
        """A worker, stopped in the middle of its work, and the leases that it holds.

        None if it has nothing to do for a while.
        """
        with self.worker() as worker:
            leases = self._catch(worker)
            # A job that fails by bad luck would hide one that fails by a bug.
            if any(
                held.deaths > RULES[Cause.WORKER_DIED].limit - 3
                or held.crashes > RULES[Cause.CHILD_CRASHED].limit - 3
                for held in leases
            ):
                raise NoTarget
            self.struck |= {held.job for held in leases}
            yield worker, leases

    def _catch(self, worker: Node) -> list[Held]:
        for _ in range(CATCH_TRIES if "postgres" not in self.cluster.held else 0):
            worker.signal(signal.SIGSTOP)
            if leases := held_by(self.cluster, worker.pid):
                return leases
            worker.signal(signal.SIGCONT)
            time.sleep(0.01)
        worker.signal(signal.SIGSTOP)
        return []

    def worker(self):
        return self.held(self.cluster.workers, len(self.cluster.workers) - 1)

    def gateway(self):
        return self.held(self.cluster.gateways, len(self.cluster.gateways) - 1)

    @contextmanager
    def server(self, name: str) -> Iterator[None]:
        if name in self.cluster.held:
            raise NoTarget
        self.cluster.held.add(name)
        self.target = name
        self.struck.add("*")
        try:
            yield
        finally:
            self.cluster.held.discard(name)

    @contextmanager
    def disturbed(self) -> Iterator[Node]:
        """A worker whose links to Postgres and Redis may be disturbed."""
        with self.worker() as worker:
            try:
                yield worker
            finally:
                worker.link.heal()
                worker.bell.heal()

    @contextmanager
    def talking(self) -> Iterator["redis.Redis"]:
        """A client of Redis; when Redis is away there is nothing to break."""
        with (
            suppress(redis.RedisError, OSError),
            redis.Redis.from_url(self.cluster.redis.url, socket_timeout=2) as client,
        ):
            yield client


def until_dead(node: Node, seconds: float) -> Fault:
    step = 0.05
    for _ in range(int(seconds / step)):
        if not node.alive:
            return
        yield step


def until_postgres_answers(cluster: Cluster) -> Fault:
    while True:
        yield 0.2
        with suppress(psycopg.OperationalError), psycopg.connect(cluster.postgres.url, connect_timeout=2):
            return
