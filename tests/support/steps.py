"""Steps of the client, driven by a script of outcomes in place of a service."""

from collections.abc import Callable, Iterable
from typing import Any

import httpx2

from gristmill.client.steps import Emit, Sleep, Step, Steps, Walk

URL = httpx2.URL("http://service")


def answer(status: int = 200, *, headers: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
    """An answer with a JSON body, or with `content=`."""
    body = body if "content" in body else {"json": body}
    return httpx2.Response(status, headers=headers, request=httpx2.Request("GET", URL), **body)


class Played:
    """The steps that were taken, apart from pauses and emitted items, and the value at their end."""

    def __init__(self, steps: Steps[Any], outcomes: Iterable[Any], slept: Callable[[float], None]) -> None:
        self.steps: list[Step] = []
        self.pauses: list[float] = []
        self.emitted: list[Any] = []
        self._outcomes, self._slept = iter(outcomes), slept
        walk = Walk(steps)
        step = walk.next()
        while step is not None:
            step = self._taken(walk, step)
        self.value = walk.value

    def _taken(self, walk: Walk[Any], step: Step) -> Step | None:
        if isinstance(step, Emit):
            self.emitted.append(step.item)
            return walk.next()
        if isinstance(step, Sleep):
            self.pauses.append(step.seconds)
            self._slept(step.seconds)
            return walk.next()
        self.steps.append(step)
        outcome = next(self._outcomes)
        return walk.failed(outcome) if isinstance(outcome, Exception) else walk.next(outcome)


def played(steps: Steps[Any], *outcomes: Any, slept: Callable[[float], None] = lambda _: None) -> Played:
    """An outcome that is an exception is raised in the steps."""
    return Played(steps, outcomes, slept)
