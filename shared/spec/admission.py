"""The checks of a new job's spec beside validity: the server's ceilings, time zones, the width of the result.

They may differ between servers and releases, so a stored spec is not checked again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import Detail, InvalidSpec
from shared.spec.faults import Location, pointer, refuse
from shared.spec.functions import FUNCTIONS
from shared.spec.grouping import TimeBucket
from shared.spec.models import JobSpec
from shared.spec.names import quote
from shared.spec.width import NARROWEST, check_width, narrowest

MAX_TYPES = 10_000
MAX_EXPRESSIONS = 65_536
"""Characters of all expressions of a spec. A worker parses them again, beside its heartbeat."""
_ZONE = re.compile(r"(?!Factory$)[A-Z][A-Za-z0-9_+-]*(/[A-Z][A-Za-z0-9_+-]*)*")
"""The names of the IANA database. Some machines have other files beside them: `posixrules`, `right/…`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """The most that a spec's limits may say, and the least of chunk_bytes.

    Each is a setting of the same name.
    """

    max_groups: int
    max_bytes: int
    max_chunks: int
    max_state_bytes: int
    max_bad_rows: int
    min_chunk_bytes: int


def check_admission(spec: JobSpec, ceilings: Ceilings) -> None:
    """Raises InvalidSpec with all faults, else TooManyColumns."""
    refuse(InvalidSpec, _faults(spec, ceilings))
    narrow = [narrowest(FUNCTIONS[a.fn]) for a in spec.aggregates for _ in a.quantiles]
    check_width([NARROWEST] * (len(spec.group_by) + len(spec.compute)) + narrow)


def _letters(spec: JobSpec) -> int:
    made = (made.expr for made in (*spec.derive, *spec.compute))
    conditions = (spec.where, spec.having, *(aggregate.where for aggregate in spec.aggregates))
    return sum(len(text) for text in (*made, *conditions) if text is not None)


def _faults(spec: JobSpec, ceilings: Ceilings) -> Iterator[Detail]:
    zones: list[tuple[Location, str]] = [(("source", "timezone"), spec.source.timezone)]
    zones += [
        (("group_by", i, "tz"), key.tz)
        for i, key in enumerate(spec.group_by)
        if isinstance(key, TimeBucket) and key.tz
    ]
    for location, zone in zones:
        if not _ZONE.fullmatch(zone):
            yield Detail(
                pointer=pointer(*location),
                detail=f'{quote(zone)} is no zone of the IANA database, such as "Asia/Seoul" or "UTC"',
            )
    if (declared := len(spec.source.types)) > MAX_TYPES:
        yield Detail(
            pointer=pointer("source", "types"), detail=f"at most {MAX_TYPES:,} columns, not {declared:,}"
        )
    if (letters := _letters(spec)) > MAX_EXPRESSIONS:
        told = f"the expressions have {letters:,} characters together; at most {MAX_EXPRESSIONS:,} are taken"
        yield Detail(pointer="#", detail=told)
    least, chosen = ceilings.min_chunk_bytes, spec.options.chunk_bytes
    if chosen is not None and chosen < least:
        yield _beyond(
            "options",
            "chunk_bytes",
            f"{chosen:,} is less than {least:,}, the least that this server takes",
            "min_chunk_bytes",
        )
    kept, most = spec.options.most_bad_rows, ceilings.max_bad_rows
    if spec.options.on_bad_row == "quarantine" and kept is not None and kept > most:
        yield _beyond(
            "options",
            "max_bad_rows",
            f"{kept:,} is more than {most:,}, the most that this server keeps",
            "max_bad_rows",
        )
    for name in ("max_groups", "max_bytes", "max_chunks", "max_state_bytes"):
        asked, most = getattr(spec.limits, name), getattr(ceilings, name)
        if asked is not None and asked > most:
            yield _beyond(
                "limits", name, f"{asked:,} is more than {most:,}, the most that this server takes", name
            )


def _beyond(key: str, name: str, fault: str, setting: str) -> Detail:
    return Detail(pointer=pointer(key, name), detail=f"{fault} (GRISTMILL_{setting.upper()})")
