"""Problems of the service in the words of the command line: the option at fault, and the cure."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gristmill.cli.options import Question

_ENTRY = " into source.types"
_KEY = re.compile(r"\b(?:source|csv|parquet|xlsx|options|output|limits)\.(?!types\b)[a-z_]+(?:\.[a-z_]+)?")
_LISTS = {"group_by": "by", "aggregates": "agg", "derive": "derive", "compute": "compute"}
"""Part of a spec -> the option of its entries."""
_PLACES = {
    "where": "--where",
    "having": "--having",
    "source.uris": "FILES",
    "options.on_bad_row": "--on-bad-row",
    "output.name": "--name",
}
"""Place in a spec -> its option."""
_OPTIONS = {"options.on_bad_row": "--on-bad-row ", "output.name": "--name "}
_CURES = {
    "bad_row": "--on-bad-row quarantine keeps such rows aside, and --on-bad-row skip leaves them out",
    "endless": "no --on-bad-row leaves such a record out, for its end cannot be found; "
    "--set csv.quote=null reads quotes as text",
    "too_many_bad_rows": "--set options.max_bad_rows=N allows more of them",
}
"""Code of a problem whose message tells no cure -> the option that cures it."""
_ENDLESS = re.compile(r"quote at byte|nothing follows the escape character|no line feed outside quotes")
"""Bad rows whose end is not known."""


def lines(problem: Mapping[str, Any], question: Question | None = None) -> list[str]:
    """The message of a problem: the finding, each place with its option, and the cures."""
    detail, errors = str(problem["detail"]), problem.get("errors") or []
    places = [_placed(error, question) for error in errors]
    summed_up = any(
        error.get("detail") == detail or detail.startswith(str(error.get("pointer", "-"))) for error in errors
    )
    told = places if summed_up else [detail, *(line for line in places if line not in detail)]
    details = [detail, *(str(error.get("detail", "")) for error in errors)]
    code = str(problem.get("code"))
    known = _CURES.get("endless" if code == "bad_row" and _ENDLESS.search(detail) else code, "")
    cures = [*_keys(details, known), *filter(None, [known])]
    return [*told, *_types(details), *(f"On the command line: {cure}" for cure in cures)]


def _placed(error: Mapping[str, Any], question: Question | None) -> str:
    place = str(error.get("pointer") or error.get("parameter") or "")
    shown = option_of(place, question) if place.startswith("#") else place
    return f"{shown}: {error.get('detail', '')}" if shown else str(error.get("detail", ""))


def option_of(pointer: str, question: Question | None) -> str:
    """The option that wrote this place of the spec; the place itself, if none did."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    part, place = (steps or [""])[0], ".".join(steps)
    if part in _LISTS:
        given = getattr(question, _LISTS[part], [])
        number = int(steps[1]) if len(steps) > 1 and steps[1].isdigit() else len(given)
        option = f"--{_LISTS[part]}"
        return f"{option} {shlex.quote(given[number])}" if number < len(given) else option
    if steps[:2] == ["source", "types"] and len(steps) > 2:
        return f"--type {shlex.quote(steps[2])}"
    return next((option for prefix, option in _PLACES.items() if place.startswith(prefix)), place)


def _types(details: Sequence[str]) -> Iterator[str]:
    """The entries of `source.types` that the messages propose, as one option.

    A message that proposes several entries is left alone: a reader has to choose.
    """
    entries: dict[str, Any] = {}
    conditions: list[str] = []
    for detail in details:
        for found in re.finditer(r"(?<=write )\{", detail):
            entry, end = json.JSONDecoder().raw_decode(detail, found.start())
            if detail.startswith(_ENTRY, end) and not detail.startswith(f"{_ENTRY} if ", end):
                entries |= entry
                conditions += re.findall(r"^ into source\.types, (if .*? stands? for null)", detail[end:])
    if entries:
        told = ", ".join(["On the command line", *dict.fromkeys(conditions)])
        yield f"{told}: --types {shlex.quote(json.dumps(entries, ensure_ascii=False))}"


def _keys(details: Sequence[str], said: str) -> Iterator[str]:
    """Options for the keys of the spec that the messages name, with their values; none that *said* has."""
    text = "\n".join(details)
    for key in dict.fromkeys(_KEY.findall(text)):
        option = _OPTIONS.get(key, f"--set {key}=")
        value = re.search(
            rf'\bset {re.escape(key)} to ("[^"]*"|-?\d+|true|false)(?=[\s,;:.]|$)(?! or )', text
        )
        if option.strip() in said:
            continue
        if value:
            yield option + shlex.quote(value[1].strip('"'))
        else:
            yield f"{key} is {option}…"
