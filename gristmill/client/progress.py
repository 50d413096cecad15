"""Progress for people: a bar in a terminal, HTML in a notebook, log lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from gristmill.client.moments import Moment, Show, bar_html
from gristmill.client.steps import unheard

LOG_SECONDS = 10.0
TITLE_WIDTH, BAR_WIDTH = 18, 14
Kind = Literal["terminal", "notebook", "log"]
Progress = bool | Literal["auto"] | Kind | Show
_logger = logging.getLogger("gristmill")


@contextmanager
def shown(progress: Progress) -> Iterator[Show]:
    """A function that shows each moment."""
    if callable(progress):
        yield progress
        return
    kind = _surroundings() if progress in {True, "auto"} else progress
    with ExitStack() as stack:
        if kind is False:
            yield unheard
        elif kind == "terminal":
            yield _terminal(stack)
        elif kind == "notebook":
            yield _notebook()
        elif kind == "log":
            yield _log()
        else:
            raise ValueError(
                f"progress={progress!r}: expected 'auto', 'terminal', 'notebook', 'log', a bool or a function"
            )


def _surroundings() -> Kind:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if type(shell).__name__ == "ZMQInteractiveShell":
        return "notebook"
    return "terminal" if sys.stderr.isatty() else "log"


def _terminal(stack: ExitStack) -> Show:
    """Bars of rich on stderr, from the first moment on."""
    bars: Any = None
    tasks: dict[str, Any] = {}

    def show(moment: Moment) -> None:
        nonlocal bars
        bars = bars or stack.enter_context(_bars())
        if moment.title not in tasks:
            tasks[moment.title] = bars.add_task(_short(moment.title), total=1.0, note="")
        fraction = moment.fraction or 0.0
        bars.update(tasks[moment.title], completed=fraction, note=moment.note)

    return show


def _bars() -> Any:
    from rich import progress  # noqa: PLC0415  # loaded when there is something to show
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False, table_column=Column(min_width=TITLE_WIDTH)),
        progress.BarColumn(BAR_WIDTH, table_column=Column(min_width=BAR_WIDTH)),
        progress.TaskProgressColumn(table_column=Column(min_width=4)),
        progress.TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
        console=Console(stderr=True),
        expand=True,
    )


def _short(title: str) -> str:
    """A title that fits; the end of an id tells more than its beginning."""
    return title if len(title) <= TITLE_WIDTH else f"…{title[1 - TITLE_WIDTH :]}"


def _notebook() -> Show:
    from IPython.display import HTML, display  # noqa: PLC0415  # it is there in a notebook

    handles: dict[str, Any] = {}

    def show(moment: Moment) -> None:
        bar = HTML(bar_html(moment))
        if moment.title in handles:
            handles[moment.title].update(bar)
        else:
            handles[moment.title] = display(bar, display_id=True)

    return show


def _log(clock: Callable[[], float] = time.monotonic) -> Show:
    """A line of the logger `gristmill` every ten seconds, and one at an end that took longer."""
    last: dict[str, float] = {}
    told: set[str] = set()

    def show(moment: Moment) -> None:
        now = clock()
        is_due = now - last.setdefault(moment.title, now) >= LOG_SECONDS
        if is_due or (moment.done and moment.title in told):
            last[moment.title] = now
            told.add(moment.title)
            percent = "" if moment.fraction is None else f" {moment.fraction:.0%}"
            _logger.info("%s:%s %s", moment.title, percent, moment.note)

    return show
