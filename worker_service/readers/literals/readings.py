"""How texts read that were not described: which family of types, the culprits, and the cure in words."""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from shared.spec.column_text import ColumnText
from shared.spec.names import in_expression
from shared.spec.source import SourceSpec, own_mark_faults
from shared.spec.types import BOOL, FLOAT64, TIMESTAMP, DataType, Field, parse_type
from worker_service.arrow import Array
from worker_service.readers.literals.conversion import converted
from worker_service.readers.literals.descriptions import FAMILIES, FAMILY, Counted, Entry
from worker_service.readers.literals.local_times import in_zone

NULLS = frozenset({
    "na", "n/a", "n.a.", "#n/a", "#na", "nan", "null", "none", "nil", "missing", "unknown", "undefined",
    "(null)", "<null>", "<na>", "\\n", "-", "--", "---", "?", ".", "*", "#null!", "#value!", "#ref!",
    "#div/0!", "#num!", "#name?", "tbd", "nd", "n.d.", "void", "empty", "blank", "not available",
})  # fmt: skip
"""Texts that stand for null in many files, in lower case."""
_GLANCE, _DISTINCT = 200, 2000
"""Distinct texts that are looked at closely, at first and then."""
_LITTLE = 4
"""A description that misses so many times the texts that it fits, at a glance, is given up."""
_OWN = {"number": FLOAT64, "bool": BOOL}
_PLAIN = {"number": "float64", "bool": "bool", "time": "date"}
_TOLD = 3
_FINE = re.compile(r"(?a)\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d{7,}(Z|[-+]\d\d(?::?\d\d)?)?")
"""A time that is finer than a microsecond."""
_LONGEST = 60
"""Characters of a culprit in a message."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Most texts of a column read as *family*: number, bool or time.

    `culprits` names those that do not in our own spelling, with their share, and is empty without any. `cure`
    says which entry of `source.types` makes the column one of the family.
    """

    family: str
    culprits: str
    cure: str


class Refusal(NamedTuple):
    """Why a literal does not fit, and the advice of `cure`: none where another type is no cure."""

    reason: str
    cure: Callable[[], str] = str


@dataclass(frozen=True, slots=True)
class _Proposal:
    """An entry of `types`, how many texts fit it and how many do not, and these; nulls are left out."""

    entry: Entry
    fits: int
    misses: int
    rest: tuple[str, ...]


def reading(text: Array, name: str, source: SourceSpec) -> Reading | None:
    """How more than half of the *text* of the undeclared column *name* reads.

    Nulls are left out, and so are texts that stand for null in many files.
    """
    counted = _counted(text)
    for family in FAMILIES:
        proposals = _proposals(counted, family, {}, source)
        if proposals and proposals[0].fits:
            kind = _OWN.get(family) or parse_type(proposals[0].entry["type"])
            return Reading(family, culprits(text, kind, source), _advised(name, proposals, counted, source))
    return None


def culprits(text: Array, kind: DataType, source: SourceSpec) -> str:
    """The most frequent of *text* that are not of *kind* in an undeclared column, with their share."""
    counted = _counted(text)
    wrong = _misfits(list(counted), Field("", kind), source)
    wrong.sort(key=lambda value: -counted[value])
    if len(wrong) > _TOLD:
        return ", ".join(_shown(value) for value in wrong[:_TOLD]) + " and others"
    shares = ", ".join(f"{_shown(value)} in {_share(counted[value] / len(text))}" for value in wrong)
    return f"{shares} of sampled rows" if wrong else ""


def cure(text: Array, field: Field, source: SourceSpec) -> str:
    """A sentence that describes *text* so that it fits *field*; empty where no description is found.

    *text* is all there is of the column at hand: the description has to fit as much of it as it can.
    """
    family = FAMILY.get(field.type.kind)
    if family is None:
        return ""
    given = source.types.get(field.column)
    base: Entry = given.model_dump(exclude_defaults=True) if isinstance(given, ColumnText) else {}
    if field.declared or family == "bool":
        base["type"] = str(field.type)
    counted = _counted(text)
    advice = _advised(field.column, _proposals(counted, family, base, source), counted, source)
    return advice or _cut(field.column, counted)


def refusal(literal: str, field: Field, source: SourceSpec, text: Callable[[], Array]) -> Refusal:
    """Why *literal* does not fit the declared *field*. *text* is that of `cure`, which alone asks for it."""
    reason = no_moment(literal, field, source)
    if reason:
        return Refusal(reason)
    return Refusal(f"{_shown(literal)} is no {field.type}", lambda: cure(text(), field, source))


def no_moment(literal: str, field: Field, source: SourceSpec) -> str:
    """Why a local time has no moment; empty for other literals."""
    if field.type.kind == "timestamptz":
        local = converted(pa.array([literal]), replace(field, type=TIMESTAMP), source)
        clocks = f"the clocks of {source.timezone}"
        moments = in_zone(local.values, source.timezone, source.ambiguous_times)
        if moments.twice is not None:
            cures = 'set source.ambiguous_times to "earliest" or "latest"'
            return f"{clocks} show {_shown(literal)} twice; {cures}"
        if moments.skipped is not None:
            return f"{clocks} skip {_shown(literal)}"
    return ""


def _counted(text: Array) -> dict[str, int]:
    plain = text.cast(pa.string()) if pa.types.is_dictionary(text.type) else text
    counts = pc.value_counts(plain.drop_null())
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def _proposals(counted: Counted, family: str, base: Entry, source: SourceSpec) -> list[_Proposal]:
    """The best description of the family, and behind it another one that fits as well but says otherwise.

    *base* has the options that are given already; a description keeps them. It is found from a few texts. If
    it fits some of them, it is found again from more, and then together with texts that it does not fit.
    """
    texts = list(counted)
    glance = {text: counted[text] for text in texts[:: len(texts) // _GLANCE + 1]}
    proposals = _judged(list(glance), glance, family, base, source)
    if not proposals or _LITTLE * proposals[0].fits < proposals[0].misses:
        return []
    looked_at = texts[:_DISTINCT]
    proposals = _judged(looked_at, counted, family, base, source)
    if len(texts) > _DISTINCT and proposals and proposals[0].rest:
        proposals = _judged([*looked_at, *proposals[0].rest[:_DISTINCT]], counted, family, base, source)
    return [proposal for proposal in proposals if proposal.fits > proposal.misses or not proposal.rest]


def _judged(
    looked_at: list[str], counted: Counted, family: str, base: Entry, source: SourceSpec
) -> list[_Proposal]:
    marks: dict[str, Any] = {key: base[key] for key in ("decimal", "thousands") if key in base}
    csv = source.csv.model_copy(update=marks)
    plain: dict[str, int] = {}
    for value in looked_at:
        if (stripped := value.strip()) and stripped.lower() not in NULLS:
            plain[stripped] = plain.get(stripped, 0) + counted[value]
    entries = (
        FAMILIES[family](plain, csv, base.get("type")) if plain or not counted else [{"type": _PLAIN[family]}]
    )
    spaced = any(value != value.strip() for value in looked_at) and not csv.trim
    trim = {"trim": True} if spaced else {}
    return [_best(counted, base, entry | trim, source) for entry in entries]


def _best(counted: Counted, base: Entry, found: Entry, source: SourceSpec) -> _Proposal:
    """The variant that fits the most: the type as given, leniently, or as found, each first without a format.

    For a format fits a few texts, and our own spelling all of its kind: other texts may have other fractions.
    """
    entry = _joined(base, found)
    plain = [] if "format" in base else [{key: told for key, told in entry.items() if key != "format"}]
    given = {"type": base["type"]} if "type" in base else {}
    as_found = [*plain, entry]
    as_given = [one | given | more for more in ({}, {"lenient": True}) for one in as_found] if given else []
    variants = [*as_given, *as_found]
    proposals = [_tried(counted, variant, source) for variant in variants if _is_valid(variant, source)]
    return max(proposals, key=lambda proposal: proposal.fits, default=_Proposal(entry, 0, 1, tuple(counted)))


def _joined(base: Entry, found: Entry) -> Entry:
    """Both, with lists and sets of characters united."""
    entry = base | found
    for key in base.keys() & found.keys() - {"type", "decimal", "thousands", "trim", "percent", "lenient"}:
        both = [*_many(base[key]), *_many(found[key])]
        unique = list(dict.fromkeys(both))
        entry[key] = "".join(unique) if key == "strip" else unique
    return entry


def _many(value: Any) -> list[str]:
    return [value] if isinstance(value, str) and "%" in value else list(value)


def _is_valid(entry: Entry, source: SourceSpec) -> bool:
    """Whether a spec may have the entry beside its defaults for all columns."""
    try:
        text = ColumnText.model_validate(entry)
    except ValidationError:
        return False
    return not any(own_mark_faults(text, source.csv))


def _tried(counted: Counted, entry: Entry, source: SourceSpec) -> _Proposal:
    """Convert the texts; those that stand for null are told so.

    In UTC each local time has one moment: that another clock skips it is no matter of how it is written.
    """
    text = ColumnText.model_validate(entry)
    spec = source.model_copy(update={"types": {"": text}, "timezone": "UTC"})
    wrong = _misfits(list(counted), Field("", parse_type(text.type), declared=True), spec)
    nulls = dict.fromkeys(value.strip() for value in wrong if value.strip().lower() in NULLS)
    rest = tuple(value for value in wrong if value.strip() not in nulls)
    entry = _with_nulls(entry, nulls)
    fits = sum(counted.values()) - sum(counted[value] for value in wrong)
    return _Proposal(entry, fits, sum(counted[value] for value in rest), rest)


def _misfits(values: list[str], field: Field, source: SourceSpec) -> list[str]:
    mask = converted(pa.array(values, pa.string()), field, source).misfits
    return [] if mask is None else [value for value, wrong in zip(values, mask, strict=True) if wrong]


def _advised(name: str, proposals: Sequence[_Proposal], counted: Counted, source: SourceSpec) -> str:
    """A few texts that fit no description are proposed as nulls, if the reader agrees."""
    if not proposals:
        return ""
    rest = proposals[0].rest
    few = rest if len(rest) <= _TOLD else ()
    with_nulls = [_with_nulls(proposal.entry, few) for proposal in proposals]
    if not all(_is_valid(entry, source) for entry in with_nulls):  # a spelling of null may be too long
        few, with_nulls = (), [proposal.entry for proposal in proposals]
    entries = [json.dumps({name: entry}, ensure_ascii=False) for entry in with_nulls]
    told = f"write {entries[0]} into source.types"
    if len(entries) > 1:
        senses = [_says(proposal.entry, counted, source) for proposal in proposals]
        told += f" if {senses[0]}, or {entries[1]} if {senses[1]}"
    if few:
        told += f", if {' and '.join(map(_shown, few))} {'stands' if len(few) == 1 else 'stand'} for null"
    elif rest:
        told += f"; {', '.join(map(_shown, rest[:_TOLD]))} and others do not fit"
        told += ', so set options.on_bad_row to "quarantine" as well'
    return told


def _cut(name: str, counted: Counted) -> str:
    """The cure where all texts are times finer than a microsecond: no entry reads them."""
    found = [_FINE.fullmatch(text) for text in counted]
    zoned = {bool(fine and fine[1]) for fine in found}
    if not found or None in found or len(zoned) > 1:
        return ""
    column = in_expression(name)
    cut, kind = f"substr({column}, 1, 26)", "timestamp"
    if True in zoned:
        cut, kind = f"concat({cut}, extract({column}, '(Z|[-+][0-9:]*|)$'))", "timestamptz"
    derived = {"as": f"{name}_cut", "expr": f"cast({cut}, '{kind}')"}
    as_text, told = (json.dumps(entry, ensure_ascii=False) for entry in ({name: "string"}, derived))
    return (
        f"times have six digits of a fraction at most; to cut the others off, write {as_text} into "
        f'source.types and {told} into derive, and use "{derived["as"]}" instead'
    )


def _with_nulls(entry: Entry, nulls: Collection[str]) -> Entry:
    return entry | {"null_values": [*entry.get("null_values", ()), *nulls]} if nulls else entry


def _says(entry: Entry, counted: Counted, source: SourceSpec) -> str:
    """The sense of an entry, where another one fits the texts as well."""
    if "format" in entry:
        patterns = [entry["format"]] if isinstance(entry["format"], str) else entry["format"]
        first = next(pattern for pattern in patterns if re.match("%[dm].%[dm]", pattern))
        return "the day comes first" if first.startswith("%d") else "the month comes first"
    thousands = entry.get("thousands", source.csv.thousands)
    if thousands and any(thousands in text for text in counted):
        return f"{thousands!r} groups thousands"
    return f"{entry.get('decimal', source.csv.decimal)!r} is the decimal mark"


def _shown(value: str) -> str:
    return repr(value if len(value) <= _LONGEST else value[:_LONGEST] + "…")


def _share(part: float) -> str:
    return f"{part:.1%}" if part >= 0.001 else "less than 0.1%"
