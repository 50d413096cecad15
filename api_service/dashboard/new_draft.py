"""A job that is being described: the form as it was sent, its JSON, and the changes of both. Pure."""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from api_service.dashboard.spec_form import (
    LISTS,
    TYPE,
    TYPES,
    SpecForm,
    bounded,
    listed,
    name_of,
    own_fields,
    to_form,
    to_spec,
)
from shared.errors import MalformedJson
from shared.spec.models import JobSpec

MOST_DEPTH = 50
"""Of arrays and objects within each other; those of a spec are no deeper than 6."""
_ORDER = [info.alias or name for name, info in JobSpec.model_fields.items()]


@dataclass(frozen=True, slots=True)
class Draft:
    """A job before it is submitted.

    `text` is the JSON of the spec as it stands in its field. `shown` is the digest of the JSON that the page
    had there. `key` makes one job of a form that is sent twice. `plan` is the dry run that the page shows.
    `blank` is the list that gets an empty row, or `type` after a column was chosen for its type.
    """

    form: SpecForm
    text: str
    shown: str
    key: str
    plan: str | None = None
    blank: str = ""

    @property
    def spec(self) -> dict[str, Any]:
        return to_spec(self.form)

    @property
    def edited(self) -> bool:
        """Whether the JSON was changed by hand: it counts, and not the form."""
        return _digest(self.text) != self.shown

    @property
    def undecided(self) -> bool:
        """Whether the form and the JSON were both changed."""
        return self.edited and _digest(written(self.spec)) != self.shown

    @property
    def body(self) -> str:
        """The JSON of the spec that counts."""
        return self.text if self.edited else written(self.spec)


def of_spec(spec: Mapping[str, Any], *, plan: str | None = None, key: str | None = None) -> Draft:
    form = to_form(spec)
    text = written(to_spec(form))
    return Draft(form, text, _digest(text), key or secrets.token_urlsafe(18), plan)


def of_fields(sent: Mapping[str, str]) -> Draft:
    """The draft that a form has sent. Raises MalformedJson if its `kept` is no object."""
    kept = read_object(sent.get("kept") or "{}", "the kept part of the spec")
    form = bounded(SpecForm(own_fields(sent), kept))
    text = _plain(sent["json"]) if "json" in sent else written(to_spec(form))
    key = sent.get("key") or secrets.token_urlsafe(18)
    return Draft(form, text, sent.get("shown") or _digest(text), key, sent.get("plan") or None)


def from_json(draft: Draft) -> Draft:
    """The form of the JSON as it was written. Raises MalformedJson."""
    return of_spec(read_object(draft.text, "the JSON of the spec"), plan=draft.plan, key=draft.key)


def from_form(draft: Draft) -> Draft:
    """The draft with the JSON of its form; changes of the JSON are dropped."""
    text = written(draft.spec)
    return replace(draft, text=text, shown=_digest(text))


def with_row(draft: Draft, name: str) -> Draft:
    """One more empty row at the end of the list *name*."""
    return replace(draft, blank=name)


def with_type(draft: Draft, column: str) -> Draft:
    """Fields for the type of *column*."""
    fields = {name_of("source", "types", column, "type"): "", **draft.form.fields}
    return replace(draft, form=replace(draft.form, fields=fields), blank="type")


def declared(draft: Draft, column: str, given: Mapping[str, Any]) -> Draft:
    """With the type that is *given*, an entry of `source.types`, in place of another one of the column."""
    texts = {
        name_of(*TYPES, column, member): writing.shown(given.get(member)) for member, writing in TYPE.items()
    }
    return replace(draft, form=replace(draft.form, fields=draft.form.fields | texts))


def with_field(draft: Draft, name: str, text: str) -> Draft:
    """With another text in a field, which is left alone if it is none of the form."""
    return replace(draft, form=replace(draft.form, fields=own_fields(draft.form.fields | {name: text})))


def without(draft: Draft, place: str) -> Draft:
    """Without the row, or the type, whose fields begin with *place*."""
    left = {name: text for name, text in draft.form.fields.items() if not name.startswith(f"{place}/")}
    return replace(draft, form=replace(draft.form, fields=own_fields(left)))


def rows(draft: Draft, name: str) -> list[dict[str, str]]:
    """The rows of a list, each with all of its fields; an empty one if there is none, or one is asked for.

    A list that is kept beside the fields has no rows, not even an empty one that would replace it.
    """
    if draft.form.kept.get(name):
        return []
    found = listed(draft.form.fields, name)
    empty: list[dict[str, str]] = [{}] if draft.blank == name or not found else []
    return [dict.fromkeys(LISTS[name], "") | row for row in found + empty]


def read_object(text: str, called: str) -> dict[str, Any]:
    """The JSON object in *text*; raises MalformedJson, which names it *called*."""
    try:
        found = json.loads(text, parse_constant=_no_number)
        text.encode()
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise MalformedJson(f"{called} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise MalformedJson(f"{called} is no JSON object; begin it with {{")
    if _is_deep(found):
        raise MalformedJson(f"{called} has more than {MOST_DEPTH} arrays or objects within each other")
    return found


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [inner for of in level for inner in _members(of) if isinstance(inner, dict | list)]
    return bool(level)


def _members(of: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return of.values() if isinstance(of, dict) else of


def written(spec: Mapping[str, Any]) -> str:
    """The JSON of a spec for people, with the keys in the order of docs/spec.md."""
    order = {key: no for no, key in enumerate(_ORDER)}
    keys = sorted(spec, key=lambda key: order.get(key, len(order)))
    return json.dumps({key: spec[key] for key in keys}, indent=2, ensure_ascii=False)


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _digest(text: str) -> str:
    return hashlib.sha256(_plain(text).encode()).hexdigest()[:32]


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")
