"""A spec as the fields of a form, and the fields as a spec. Pure.

The name of a field is the JSON Pointer of its value. So an error of the spec names its field. Whatever no
field can express is kept beside the fields as JSON, and goes back into the spec.
"""

import json
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from api_service.dashboard.spec_texts import (
    FLAG,
    FRACTIONS,
    LINES,
    MARK,
    PAIRS,
    SEVERAL_LINES,
    SHEET,
    TEXT,
    WHOLE,
    Writing,
)

Path = tuple[str, ...]
CSV: dict[str, Writing] = {
    "delimiter": MARK,
    "quote": MARK,
    "escape": MARK,
    "header": FLAG,
    "names": LINES,
    "encoding": TEXT,
    "null_values": LINES,
    "comment": MARK,
    "skip_rows": WHOLE,
    "skip_footer": WHOLE,
    "trim": FLAG,
    "decimal": MARK,
    "thousands": MARK,
    "short_rows": TEXT,
}
FIELDS: dict[Path, Writing] = {
    ("source", "uris"): LINES,
    ("source", "format"): TEXT,
    ("source", "compression"): TEXT,
    **{("source", "csv", name): writing for name, writing in CSV.items()},
    ("source", "timezone"): TEXT,
    ("source", "ambiguous_times"): TEXT,
    ("source", "partitions"): TEXT,
    ("source", "file_column"): TEXT,
    ("source", "missing_columns"): TEXT,
    ("source", "parquet", "nanoseconds"): TEXT,
    ("source", "xlsx", "sheet"): SHEET,
    ("where",): SEVERAL_LINES,
    ("having",): SEVERAL_LINES,
    ("semantics",): TEXT,
    ("output", "name"): TEXT,
    ("output", "versions"): WHOLE,
    ("output", "expires"): TEXT,
    ("output", "on_schema_change"): TEXT,
    ("options", "on_bad_row"): TEXT,
    ("options", "max_bad_rows"): WHOLE,
    ("options", "priority"): WHOLE,
    ("options", "deadline"): TEXT,
    ("labels",): PAIRS,
}
KEY = {"column": TEXT, "time_bucket": TEXT, "tz": TEXT, "as": TEXT}
AGGREGATE = {
    "fn": TEXT,
    "column": TEXT,
    "by": TEXT,
    "y": TEXT,
    "x": TEXT,
    "q": FRACTIONS,
    "k": WHOLE,
    "ddof": WHOLE,
    "where": TEXT,
    "as": TEXT,
}
COMPUTED = {"as": TEXT, "expr": SEVERAL_LINES}
LISTS = {"derive": COMPUTED, "group_by": KEY, "aggregates": AGGREGATE, "compute": COMPUTED}
MOST_ROWS = 400
"""A spec has at most so many aggregates, and fewer keys. Longer lists, and types beyond, have no fields."""
TYPE = {
    "type": TEXT,
    "format": LINES,
    "decimal": MARK,
    "thousands": MARK,
    "strip": TEXT,
    "null_values": LINES,
}
TYPES: Path = ("source", "types")
_LISTED = re.compile(rf"/({'|'.join(LISTS)})/([0-9]{{1,6}})/([a-z_]+)")
_TYPED = re.compile(r"/source/types/([^/]+)/([a-z_]+)")


@dataclass(frozen=True, slots=True)
class SpecForm:
    """`fields` are the texts by the pointer of their value. `kept` is the part of the spec beside them."""

    fields: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)


def name_of(*keys: str | int) -> str:
    """The name of a field: the JSON Pointer of its value, without the `#` and never cut."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def to_form(spec: Mapping[str, Any]) -> SpecForm:
    """The form of any JSON object, a spec or not."""
    form = SpecForm(kept=deepcopy(dict(spec)))
    for path, writing in FIELDS.items():
        value = _at(form.kept, path)
        if (text := writing.shown(value)) and _same(writing.read(text), value):
            form.fields[name_of(*path)] = text
            _drop(form.kept, path)
    for name, members in LISTS.items():
        rows = spec.get(name)
        if (
            isinstance(rows, list)
            and len(rows) <= MOST_ROWS
            and (rows or name == "group_by")
            and (shown := _shown_rows(name, rows, members)) is not None
        ):
            form.fields.update(shown)
            del form.kept[name]
    declared = _at(spec, TYPES)
    for column, given in islice(declared.items(), MOST_ROWS) if isinstance(declared, dict) else ():
        if shown := _shown_type(column, given):
            form.fields.update(shown)
            _drop(form.kept, (*TYPES, column))
    return form


def to_spec(form: SpecForm) -> dict[str, Any]:
    """The spec of a form. It has `group_by`, be it empty, and `aggregates` only if there are any."""
    spec = deepcopy(form.kept)
    for path, writing in FIELDS.items():
        if text := form.fields.get(name_of(*path)):
            _put(spec, path, writing.read(text))
    for name, members in LISTS.items():
        if rows := [_read(row, members) for row in listed(form.fields, name)]:
            spec[name] = [_key(row) for row in rows] if name == "group_by" else rows
    for column, texts in typed(form.fields).items():
        if given := _read(texts, TYPE):
            _put(spec, (*TYPES, column), _type(given))
    spec.setdefault("group_by", [])
    return spec


def listed(fields: Mapping[str, str], name: str) -> list[dict[str, str]]:
    """The rows of one of LISTS in which something is written, in their order."""
    rows: dict[int, dict[str, str]] = {}
    for found, text in ((_LISTED.fullmatch(given), text) for given, text in fields.items()):
        if found and found[1] == name and found[3] in LISTS[name] and text:
            rows.setdefault(int(found[2]), {})[found[3]] = text
    return [rows[no] for no in sorted(rows)]


def typed(fields: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Column -> the texts of its type. A column may have none yet."""
    columns: dict[str, dict[str, str]] = {}
    for found, text in ((_TYPED.fullmatch(given), text) for given, text in fields.items()):
        if found and found[2] in TYPE:
            column = found[1].replace("~1", "/").replace("~0", "~")
            texts = columns.setdefault(column, {})
            if text:
                texts[found[2]] = text
    return columns


def bounded(form: SpecForm) -> SpecForm:
    """The form; one with too many rows or types keeps those without fields, so that a page can be made."""
    counts = (*(len(listed(form.fields, name)) for name in LISTS), len(typed(form.fields)))
    return to_form(to_spec(form)) if max(counts) > MOST_ROWS else form


def own_fields(sent: Mapping[str, str]) -> dict[str, str]:
    """The fields of the spec among those that were sent, with the rows of lists numbered anew."""
    texts = {name_of(*path): sent.get(name_of(*path), "") for path in FIELDS}
    for name in LISTS:
        for no, row in enumerate(listed(sent, name)):
            texts |= {name_of(name, no, member): text for member, text in row.items()}
    for column, given in typed(sent).items():
        texts |= {name_of(*TYPES, column, member): given.get(member, "") for member in TYPE}
    return {name: text for name, text in texts.items() if text or name.startswith("/source/types/")}


def pointers(kept: Mapping[str, Any], *at: str) -> Iterable[str]:
    """The places of a spec that the form keeps without fields."""
    for key, value in kept.items():
        if isinstance(value, dict) and value and (*at, key) in _PARENTS:
            yield from pointers(value, *at, key)
        else:
            yield "#" + name_of(*at, key)


_PARENTS = {path[:depth] for path in (*FIELDS, (*TYPES, "")) for depth in range(1, len(path))}


def _shown_rows(name: str, rows: list[Any], members: dict[str, Writing]) -> dict[str, str] | None:
    """The fields of all rows; None if one of them has no fields that express it."""
    texts: dict[str, str] = {}
    for no, row in enumerate(rows):
        shown = _shown({"column": row} if name == "group_by" and isinstance(row, str) else row, members)
        back = _read(shown, members) if shown else None
        if back is None or not _same(_key(back) if name == "group_by" else back, row):
            return None
        texts |= {name_of(name, no, member): text for member, text in shown.items()}
    return texts


def _shown_type(column: str, given: Any) -> dict[str, str]:
    shown = _shown({"type": given} if isinstance(given, str) else given, TYPE)
    if not TEXT.shown(column) or not shown or not _same(_type(_read(shown, TYPE)), given):
        return {}
    return {name_of(*TYPES, column, member): shown.get(member, "") for member in TYPE}


def _shown(row: Any, members: dict[str, Writing]) -> dict[str, str]:
    texts = {name: members[name].shown(row[name]) for name in row if name in members} if _object(row) else {}
    return {name: text for name, text in texts.items() if text}


def _read(texts: Mapping[str, str], members: dict[str, Writing]) -> dict[str, Any]:
    return {name: writing.read(texts[name]) for name, writing in members.items() if texts.get(name)}


def _key(row: dict[str, Any]) -> Any:
    return row["column"] if row.keys() == {"column"} else row


def _type(given: dict[str, Any]) -> Any:
    return given["type"] if given.keys() == {"type"} else given


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _at(of: Any, path: Path) -> Any:
    """The value at *path*; an empty list, which no field shows, where there is none."""
    for key in path:
        if not _object(of) or key not in of:
            return []
        of = of[key]
    return of


def _put(spec: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        if not _object(spec.get(key)):
            spec[key] = {}
        spec = spec[key]
    spec[path[-1]] = value


def _drop(kept: dict[str, Any], path: Path) -> None:
    """Remove a value, and the objects that it leaves empty."""
    above = [kept]
    for key in path[:-1]:
        above.append(above[-1][key])
    for of, key in zip(reversed(above), reversed(path), strict=True):
        del of[key]
        if of:
            return


def _same(one: Any, other: Any) -> bool:
    """As JSON: true is not 1, and 1 is not 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
