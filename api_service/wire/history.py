"""The history of a job on the wire."""

import re
from collections.abc import Sequence
from datetime import datetime

import msgspec
from multidict import MultiMapping

from api_service.wire.documents import Page
from api_service.wire.parameters import single
from shared.core.history import Entry
from shared.errors import InvalidCursor, Problem


class UnitOfEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The unit that an entry tells of; `attempt` is the number of its lease."""

    kind: str
    no: int
    attempt: int
    worker: str


class EntryDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry; a field that does not belong to its `event` is left out.

    `actor` asked for it. `charge` is the count that a failed attempt belongs to; the last one of a unit is
    `final`. `count` stands for so many events, the last of them `at` that time. `detail` has more of a plan,
    a publishing or a change.
    """

    at: datetime
    event: str
    actor: str | None = None
    unit: UnitOfEntry | None = None
    charge: str | None = None
    final: bool = False
    error: Problem | None = None
    count: int = 1
    detail: dict[str, object] | None = None


_NAMED = ("actor", "charge", "final", "error")
_OF_UNIT = UnitOfEntry.__struct_fields__


def entry_document(entry: Entry) -> EntryDocument:
    said = dict(entry.said)
    unit = UnitOfEntry(**{name: said.pop(name) for name in _OF_UNIT}) if "attempt" in said else None
    named = {name: said.pop(name) for name in _NAMED if name in said}
    return EntryDocument(
        at=entry.at, event=entry.event, unit=unit, count=entry.count, detail=said or None, **named
    )


def history_page(entries: Sequence[Entry], *, further: bool) -> Page[EntryDocument]:
    return Page([*map(entry_document, entries)], str(entries[-1].no) if further else None)


def after_entry(query: MultiMapping[str]) -> int:
    after = single(query, "after") or "0"
    if not re.fullmatch("[0-9]{1,5}", after):
        raise InvalidCursor("after is the `next` of the page before")
    return int(after)
