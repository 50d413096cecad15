"""The spec of a job from the options of the command line."""

import json
import sys
from pathlib import Path
from typing import Any

from gristmill.cli import grammar
from gristmill.cli.mistakes import Mistake
from gristmill.cli.options import Question


def job_spec(question: Question) -> dict[str, Any]:
    """The spec of a job, without its files. Raises Mistake."""
    spec = {"group_by": []} | spec_of(question)
    if not spec.get("aggregates"):
        raise Mistake("--agg is missing: say what to compute, such as --agg n=count or --agg total=sum:price")
    return spec


def spec_of(question: Question) -> dict[str, Any]:
    """The spec without its files, which are `source.uris`.

    It begins with `--spec`. An option that is a list takes the place of the list there. Raises Mistake.
    """
    spec: dict[str, Any] = _read_object(question.spec, "--spec") if question.spec else {}
    made: dict[str, Any] = {
        "group_by": [grammar.by(text) for text in question.by],
        "aggregates": [grammar.aggregate(text) for text in question.agg],
        "derive": [grammar.named_expression("--derive", text) for text in question.derive],
        "where": question.where,
        "compute": [grammar.named_expression("--compute", text) for text in question.compute],
        "having": question.having,
    }
    spec |= {key: value for key, value in made.items() if value}
    types = [entry for text in question.types for entry in _types(text).items()]
    for column, entry in (*types, *map(grammar.column_type, question.type)):
        _put(spec, ["source", "types", column], entry)
    for path, value in (("options.on_bad_row", question.on_bad_row), ("output.name", question.name)):
        if value is not None:
            _put(spec, path.split("."), value)
    for text in question.set:
        keys, chosen = grammar.setting(text)
        _put(spec, keys, chosen, text)
    return spec


def _types(text: str) -> dict[str, Any]:
    if text.startswith("@"):
        return _read_object(text[1:], "--types")
    return _object(grammar.json_value(text, "--types"), "--types")


def _read_object(path: str, option: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"{option} {path}: {getattr(error, 'strerror', None) or error}") from error
    return _object(grammar.json_value(text, f"{option} {path}"), f"{option} {path}")


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Mistake(f"{place}: a JSON object is needed, and this is {json.dumps(value)[:40]}")
    return value


def _put(spec: dict[str, Any], keys: list[str], value: Any, text: str = "") -> None:
    *folders, last = keys
    for key in folders:
        inside = spec.setdefault(key, {})
        if not isinstance(inside, dict):
            raise Mistake(f"--set {text!r}: {key} of the spec is {json.dumps(inside)[:40]} and has no keys")
        spec = inside
    spec[last] = value
