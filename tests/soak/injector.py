"""Draws faults by a seed, begins each at its time, heals it at its end, and writes down both."""

import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.soak.cluster import Cluster
from tests.soak.faults import FAULTS
from tests.soak.stage import Fault, NoTarget, Stage
from tests.soak.watch import Watch

POLL = 0.02


@dataclass
class Injected:
    """One fault with its target. `begun` and `ended` are seconds since the epoch.

    `struck` names the jobs of the units that a struck process held.
    """

    kind: str
    target: str
    begun: float
    ended: float = 0.0
    struck: set[str] = field(default_factory=set)

    def touched(self, begun: float, ended: float) -> bool:
        """Whether it was in effect at some moment of this time."""
        return self.begun <= ended and begun <= self.ended


class Injector:
    """The same seed draws the same faults in the same order with the same pauses between them."""

    def __init__(self, cluster: Cluster, watch: Watch, seed: int, every: float, kinds: list[str]) -> None:
        self._cluster, self._watch, self._seed, self._every = cluster, watch, seed, every
        self._kinds = {kind: weight for kind, weight in FAULTS.items() if not kinds or kind.__name__ in kinds}
        self._numbers = itertools.count()
        self.injected: list[Injected] = []
        self.skipped: Counter[str] = Counter()

    # fault matrix: 55
    def inject(self, until: Callable[[], bool]) -> None:
        """Inject faults until told to stop; then heal them all.

        Runs in the main thread, which starts every process.
        """
        pauses = Random(f"{self._seed} pauses")
        due: list[tuple[float, int, Fault, Injected]] = []
        following = time.monotonic()
        while not until():
            if time.monotonic() >= following:
                following = time.monotonic() + pauses.expovariate(1 / self._every)
                self._begin(due)
            while due and due[0][0] <= time.monotonic():
                self._go_on(due, *heapq.heappop(due)[1:])
            self.revive()
            time.sleep(POLL)
        while due:
            at, *rest = heapq.heappop(due)
            time.sleep(max(0, at - time.monotonic()))
            self._go_on(due, *rest)

    def _begin(self, due: list[tuple[float, int, Fault, Injected]]) -> None:
        number = next(self._numbers)
        chance = Random(f"{self._seed} {number}")
        kind = chance.choices(list(self._kinds), list(self._kinds.values()))[0]
        stage = Stage(self._cluster, self._watch, chance, set())
        fault, begun = kind(stage), time.time()
        try:
            pause = next(fault, None)
        except NoTarget:
            self.skipped[kind.__name__] += 1
            return
        injected = Injected(kind.__name__, stage.target, begun, time.time(), stage.struck)
        self.injected.append(injected)
        self._note("began" if pause is not None else "did", injected)
        if pause is not None:
            heapq.heappush(due, (time.monotonic() + pause, number, fault, injected))

    def _go_on(
        self, due: list[tuple[float, int, Fault, Injected]], number: int, fault: Fault, injected: Injected
    ) -> None:
        pause = next(fault, None)
        injected.ended = time.time()
        if pause is None:
            self._note("healed", injected)
        if pause is not None:
            heapq.heappush(due, (time.monotonic() + pause, number, fault, injected))

    def _note(self, what: str, fault: Injected) -> None:
        with (self._cluster.folder / "logs" / "faults.log").open("a") as log:
            at = f"{time.strftime('%H:%M:%S')}.{int(time.time() % 1 * 1000):03d}"
            log.write(f"{at} {what} {fault.kind} {fault.target}\n")

    def revive(self) -> None:
        """Start again a service that ended on its own: that is a finding, but the rest goes on."""
        for node in self._cluster.nodes:
            if not node.held and not node.alive:
                node.unexpected_ends.append(node.child.end)
                node.start()
