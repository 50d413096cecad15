"""Signals that ask a program of this package to end."""

import signal
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_once(stopped: type[BaseException]) -> None:
    """Raise *stopped* at the first of these signals. Later ones are ignored, so that it ends in order."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise stopped

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
