"""The history of a job: the events that its entries tell of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

MOST_ENTRIES = 1000
"""Entries of a job that are stored one by one. Further ones of a kind are counted in one more."""


class Event(StrEnum):
    """The kind of an entry; a new one goes to the end, since the order numbers the entries that count."""

    SUBMITTED = "submitted"
    PLANNED = "planned"
    WIDENED = "widened"
    PLANNED_AGAIN = "planned_again"
    ATTEMPT_FAILED = "attempt_failed"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCEL_REQUESTED = "cancel_requested"
    RETRIED = "retried"
    CHANGED = "changed"
    DEADLINE_PASSED = "deadline_passed"
    PUBLISHED = "published"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry; `said` has the actor, the unit and its attempt, the error and more, by the event.

    `count` is 1, or how many events beyond MOST_ENTRIES the entry stands for; `at` is the time of the last.
    """

    no: int
    at: datetime
    event: Event
    count: int
    said: dict[str, Any]
