"""Named points at which a test can make a process die, freeze or fail (docs/fault-matrix.md).

They do nothing unless the environment of the process asks for it. With
`GRISTMILL_FAULT_POINTS=commit.fenced:2:kill,dispatch.marked:1:raise` the process kills itself when it
passes `commit.fenced` for the second time. Each entry acts once, after a line in the log. A name or an
action that does not exist ends the process at its start.
"""

import os
import signal
from collections.abc import Callable

import structlog

from shared.errors import StorageUnavailable

VARIABLE = "GRISTMILL_FAULT_POINTS"

POINTS = {
    "submit.before_commit": "the job and its plan unit are inserted, not committed",
    "submit.after_commit": "the job is committed, its client has no answer yet",
    "retry.before_commit": "a failed or cancelled job's units are pending again, not committed",
    "cancel.ending": "the job is cancelling and its pending units are cancelled, not committed",
    "claim.after_commit": "the lease is committed, the work has not begun",
    "commit.fenced": "the fence's UPDATE is done, for any kind of unit, nothing else",
    "commit.written": "a chunk's partial is written, not committed",
    "commit.quarantined": "the bad rows of a chunk are written, not committed",
    "commit.after": "a unit is committed, fan-in has not looked",
    "plan.before_insert": "the plan is computed, its transaction has not begun",
    "plan.mid_insert": "the chunk units are inserted, the plan is not stored",
    "plan.before_commit": "plan and chunk units are written, not committed",
    "plan.after_commit": "the plan is committed, its chunks have no ring yet",
    "chunk.computed": "the child has answered, nothing is committed",
    "fold.held": "a chunk is read, its states wait in the child for those of the next",
    "fold.joined": "another chunk is leased beside one that was read, its work has not begun",
    "widen.mid": "the epoch is raised, the chunks are not yet back",
    "plan_again.mid": "the epoch is raised and the plan is gone, the chunks are not",
    "fan_in.inside": "the next phase's units are inserted, not committed",
    "fan_in.after": "the next phase's units are committed, they have no ring yet",
    "merge.mid_copy": "a part of the rows is on its way to Postgres",
    "merge.before_commit": "the rows are copied, not committed",
    "merge.after_commit": "a merge is committed, fan-in has not looked",
    "publish.indexed": "one more index step is done",
    "publish.swapped": "the view shows the new version, not committed",
    "publish.after_commit": "the job has succeeded, its partials are still there",
    "give_back.before_commit": "a unit is pending again, not committed",
    "end.before_commit": "an ending job is terminal and its leftovers are gone, not committed",
    "dispatch.marked": "due units are marked as rung, Redis has no message yet",
    "ring.between": "a message is in Redis, the next is not",
    "sweep.found": "expired leases are read, none is taken back",
    "prune.between": "partials are deleted, superseded versions are not",
}


class Injected(StorageUnavailable, OSError):
    """The error of `raise`: transient for the service, and a lost connection for a driver."""


def _raise() -> None:
    raise Injected("A fault point was asked to fail")


ACTIONS: dict[str, Callable[[], None]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "raise": _raise,
}

log = structlog.get_logger()


def armed(text: str) -> dict[str, dict[int, str]]:
    """The actions that *text* asks for, by point and by the number of its passing.

    Raises ValueError for a point, a passing or an action that does not exist.
    """
    found: dict[str, dict[int, str]] = {}
    for entry in filter(None, text.split(",")):
        name, passing, action = entry.split(":")
        if name not in POINTS or action not in ACTIONS or int(passing) < 1:
            raise ValueError(f"{VARIABLE}: there is no {entry!r}")
        found.setdefault(name, {})[int(passing)] = action
    return found


_ARMED = armed(os.environ.get(VARIABLE, ""))
_PASSED = dict.fromkeys(POINTS, 0)


def reached(name: str) -> None:
    """Mark that the code passes the point *name*; die, freeze or fail here if a test asked for it."""
    if _ARMED and name in _ARMED:
        _PASSED[name] += 1
        if (action := _ARMED[name].get(_PASSED[name])) is not None:
            log.warning("fault_point", point=name, passing=_PASSED[name], action=action)
            ACTIONS[action]()
