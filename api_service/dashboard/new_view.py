"""The values on the page of a new job: columns, functions, and each error beside its field. Pure."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api_service.dashboard.advice import advice
from api_service.dashboard.csv_advice import csv_advice
from api_service.dashboard.new_draft import Draft, rows
from api_service.dashboard.spec_form import FIELDS, LISTS, TYPE, TYPES, name_of, pointers, typed
from shared.core.look import Look
from shared.errors import Detail, GristmillError, Problem
from shared.spec.buckets import CALENDAR
from shared.spec.encodings import SHARED, WIDE
from shared.spec.functions import FUNCTIONS
from shared.spec.types import SIMPLE

SHOWN_COLUMNS, SHOWN_SAMPLE_COLUMNS, SHOWN_KEPT = 200, 40, 20
MOST_OPTIONS = 20_000
"""Columns to choose from in all fields of a page; beyond, the fields share one list of proposals."""
COLUMNS = ("column", "by", "y", "x")
"""The members of an aggregate that name a column."""
WIDTHS = (*CALENDAR, "1h", "15m")
ENCODINGS = (*SHARED, *WIDE)
TYPE_NAMES = (*SIMPLE, "decimal(18,2)")
SECTIONS = ("/derive", "/group_by", "/aggregates", "/compute", "/source/types", "/labels")


@dataclass(frozen=True, slots=True)
class Choice:
    """A column to choose. *kind* is that of its type, empty where it is not known."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A function: the fields that it takes, and the kinds of column that it fits."""

    name: str
    summary: str
    takes: str
    fits: str


OFFERS = tuple(
    Offer(f.name, f.summary, " ".join(f.parameters), " ".join(sorted(f.first_accepts.kinds)))
    for f in FUNCTIONS.values()
)


def choices(look: Look | None, spec: Mapping[str, Any]) -> list[Choice]:
    """The columns to choose from: those of the data, of `derive`, and those that the spec names already."""
    kinds: dict[str, str] = {}
    for column in look.columns if look else ():
        kinds[column.name] = (column.type or "").partition("(")[0]
    for name in _named(spec):
        kinds.setdefault(name, "")
    return [Choice(name, kind) for name, kind in kinds.items()]


def _named(spec: Mapping[str, Any]) -> Iterator[str]:
    for made in _objects(spec.get("derive")):
        yield from _texts(made.get("as"))
    source = spec.get("source")
    types = source.get("types") if isinstance(source, dict) else None
    yield from types if isinstance(types, dict) else ()
    keys = spec.get("group_by")
    yield from (key for key in (keys if isinstance(keys, list) else ()) if isinstance(key, str))
    for row in (*_objects(keys), *_objects(spec.get("aggregates"))):
        for member in COLUMNS:
            yield from _texts(row.get(member))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else []


def places(draft: Draft) -> set[str]:
    """The names of the fields of a draft's page, and of its sections."""
    found = {name_of(*path) for path in FIELDS} | set(SECTIONS)
    for name, members in LISTS.items():
        found |= {name_of(name, no, member) for no in range(len(rows(draft, name))) for member in members}
    for column in typed(draft.form.fields):
        found |= {name_of(*TYPES, column, member) for member in TYPE}
    return found


def placed(details: Sequence[Detail], known: Collection[str]) -> dict[str, list[str]]:
    """The errors by the name of the field they stand beside; those without a field by the empty name.

    An error of a part of a field belongs to the field, and one of a whole row to its first field.
    """
    found: dict[str, list[str]] = {}
    for detail in details:
        at = detail.get("pointer", "").removeprefix("#")
        field = next((name for name in _nearest(at) if name in known), "")
        is_own = at and field in (at, f"{at}/column", f"{at}/type")
        found.setdefault(field, []).append(detail["detail"] if is_own else told(detail))
    return found


def _nearest(at: str) -> Iterator[str]:
    while at:
        yield from (at, f"{at}/column", f"{at}/type")
        at = at.rpartition("/")[0]


def told(detail: Detail) -> str:
    """The message of an error with its place in the files or in the spec."""
    pointer = detail.get("pointer")
    return f"{pointer}: {detail['detail']}" if pointer else detail["detail"]


def details_of(problem: Problem | GristmillError) -> list[Detail]:
    """The errors of a problem; its own message if it has none."""
    if isinstance(problem, GristmillError):
        problem = problem.problem()
    return list(problem["errors"]) or [{"detail": problem["detail"]}]


def _touched(draft: Draft, errors: Mapping[str, list[str]], *beginnings: str) -> bool:
    """Whether one of the fields has an error, or a value; files, types and the result's name apart."""
    apart = ("/source/uris", "/source/types", "/output/name")
    filled = [name for name, text in draft.form.fields.items() if text]
    return any(name.startswith(beginnings) and not name.startswith(apart) for name in (*filled, *errors))


def page_values(draft: Draft, look: Look | None, problem: Problem | GristmillError | None) -> dict[str, Any]:
    """The values of the page's template."""
    if isinstance(problem, GristmillError):
        problem = problem.problem()
    errors = placed(details_of(problem), places(draft)) if problem is not None else {}
    keys, aggregates = rows(draft, "group_by"), rows(draft, "aggregates")
    columns, kept = choices(look, draft.spec), list(pointers(draft.form.kept))
    selects = len(keys) + len(aggregates) * len(COLUMNS)
    return {
        "draft": draft,
        "look": look,
        "fields": draft.form.fields,
        "errors": errors,
        "derived": rows(draft, "derive"),
        "keys": keys,
        "aggregates": aggregates,
        "computed": rows(draft, "compute"),
        "types": typed(draft.form.fields),
        "kept": kept[:SHOWN_KEPT],
        "further_kept": len(kept[SHOWN_KEPT:]),
        "columns": columns,
        "propose": selects * len(columns) > MOST_OPTIONS,
        "functions": OFFERS,
        "widths": WIDTHS,
        "encodings": ENCODINGS,
        "type_names": TYPE_NAMES,
        "advice": advice(look) if look else [],
        "readings": csv_advice(look, problem),
        "sections": SECTIONS,
        "kept_json": json.dumps(draft.form.kept, ensure_ascii=False),
        "derive_open": _touched(draft, errors, "/derive") or draft.blank == "derive",
        "compute_open": _touched(draft, errors, "/compute") or draft.blank == "compute",
        "reading_open": _touched(draft, errors, "/source/") or (look is None and problem is not None),
        "more_open": _touched(
            draft, errors, "/output/", "/options/priority", "/options/deadline", "/semantics"
        ),
        "shown_columns": SHOWN_COLUMNS,
        "shown_sample_columns": SHOWN_SAMPLE_COLUMNS,
    }
