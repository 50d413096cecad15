"""From the body of a request to an object of a given class, or to all mistakes in it at once."""

import codecs
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from shared.errors import Detail, InvalidBody, MalformedJson, UsageError
from shared.spec.faults import MAX_FAULTS, pointer, summary, written
from shared.spec.names import did_you_mean, quote
from shared.spec.objects import SpecObject

_MARKS = codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE

Body = TypeVar("Body", bound=SpecObject)
Path = tuple[str, ...]
"""The keys that lead to an object, without array indexes; `*` is a key that the user chooses."""
_PLAINER = {"missing": "required, but missing"}
"""pydantic's error type -> the message, where pydantic's own speaks of fields."""


def read_body(
    kind: type[Body],
    body: bytes,
    error: type[UsageError] = InvalidBody,
    unknown_key: Callable[[Path, str], str] | None = None,
) -> Body:
    """Raises MalformedJson, or *error* with each mistake by its pointer.

    *unknown_key* makes the message for a key that the object at a path does not have.
    """
    check_json(body)
    try:
        return kind.model_validate_json(body)
    except ValidationError as invalid:
        faults = invalid.errors(include_url=False, include_input=False)[:MAX_FAULTS]
        told = unknown_key or (lambda at, key: _unknown_key(keys_of(kind), at, key))
        details = [_explain(fault, told) for fault in faults]
        raise error(summary(details), errors=details) from None


def check_json(body: bytes) -> None:
    """Refuse JSON that pydantic's own reading accepts: NaN, and a key that an object has twice."""
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedJson(_odd_body(body) or f"the body is not JSON: {error}") from None
    json.loads(body, object_pairs_hook=_without_repeats)


def _odd_body(body: bytes) -> str:
    """The fault of a body as a whole; empty if it has none."""
    if not body.strip():
        return "the body is empty; send a JSON object"
    if body.startswith(_MARKS):
        return "the body begins with a byte order mark; save it as UTF-8 without one, and send that"
    return ""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise MalformedJson(f"the key {quote(twice)} stands more than once in one object")
    return found


def _explain(fault: ErrorDetails, unknown_key: Callable[[Path, str], str]) -> Detail:
    loc = written(fault["loc"])
    if fault["type"] == "extra_forbidden":
        loc = (*loc[:-1], fault["loc"][-1])
        detail = unknown_key(tuple(key for key in loc[:-1] if isinstance(key, str)), str(loc[-1]))
    else:
        detail = _PLAINER.get(fault["type"], fault["msg"])
    return {"pointer": pointer(*loc), "detail": detail}


def _unknown_key(known: Mapping[Path, list[str]], at: Path, key: str) -> str:
    names = known[at if at in known else (*at[:-1], "*")]
    return f"unknown key{did_you_mean(key, names) or '; there are ' + ', '.join(names)}"


@cache
def keys_of(model: type[BaseModel]) -> dict[Path, list[str]]:
    """The keys of each object of a body, by its path."""
    return dict(_objects(model))


def _objects(model: type[BaseModel], *at: str) -> Iterator[tuple[Path, list[str]]]:
    yield at, [info.alias or name for name, info in model.model_fields.items()]
    for name, info in model.model_fields.items():
        chosen = ("*",) if get_origin(info.annotation) is dict else ()
        for child in _models(info.annotation):
            yield from _objects(child, *at, name, *chosen)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
