"""The work of the client as generators that know no socket: they yield a step and receive its outcome.

`sync` and `aio` perform the steps. So each request and each decision is written once.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
READ_SECONDS = 60.0
Query = list[tuple[str, str]]


def unheard(_: Any) -> None:
    """Takes a report that nothing asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`path` is below the base URL. A `safe` one may be sent again when its answer did not come.

    `blocks` makes the body anew each time, and `sent` hears the length of each block that is sent.
    `read_seconds` is the longest silence before and in the answer.
    """

    method: str
    path: str
    query: Query = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: object = None
    blocks: Callable[[], Iterator[bytes]] | None = None
    sent: Callable[[int], None] = unheard
    safe: bool = True
    read_seconds: float = READ_SECONDS


@dataclass(frozen=True, slots=True)
class Send:
    """Its outcome is the httpx2.Response, read to its end."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Begin a streamed answer, in place of the one before. Its outcome is the httpx2.Response."""

    request: Request


@dataclass(frozen=True, slots=True)
class NextBytes:
    """Its outcome is the next bytes of the open answer, decompressed; None at its end."""


@dataclass(frozen=True, slots=True)
class NextEvent:
    """Its outcome is the next httpx2.ServerSentEvent of the open answer; None at its end."""


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand an item to the caller. It has no outcome."""

    item: Any


Step = Send | Open | NextBytes | NextEvent | Sleep | Emit
Steps = Generator[Step, Any, T]


class Walk(Generic[T]):
    """Steps under way; `value` is theirs once there is no next one."""

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self.value: T

    def next(self, outcome: Any = None) -> Step | None:
        try:
            return self._steps.send(outcome)
        except StopIteration as end:
            self.value = end.value
            return None

    def failed(self, error: BaseException) -> Step | None:
        """The next step after one that raised *error*, which the steps may raise in turn."""
        try:
            return self._steps.throw(error)
        except StopIteration as end:
            self.value = end.value
            return None

    def close(self) -> None:
        self._steps.close()


def overheard(steps: Steps[T], hear: Callable[[Any], None]) -> Steps[T]:
    """The same steps; *hear* takes the emitted items."""
    walk = Walk(steps)
    step = walk.next()
    while step is not None:
        if isinstance(step, Emit):
            hear(step.item)
            step = walk.next()
            continue
        try:
            outcome = yield step
        except Exception as error:  # noqa: BLE001  # the steps decide
            step = walk.failed(error)
        else:
            step = walk.next(outcome)
    return walk.value
