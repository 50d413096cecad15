"""A stored spec without the defaults that the service has filled in: as a person would write it. Pure."""

import json
from functools import cache
from typing import Any, get_args

import pydantic_core
from pydantic import BaseModel

from shared.spec.functions import FUNCTIONS
from shared.spec.grouping import COLUMN_PARAMETERS
from shared.spec.models import JobSpec


def short(spec: dict[str, Any]) -> dict[str, Any]:
    """The same spec without its defaults. Another object than a spec keeps its strange parts."""
    found = _without_defaults(JobSpec, spec)
    for name, shorter in (("group_by", _short_key), ("aggregates", _short_aggregate)):
        if isinstance(rows := found.get(name), list):
            found[name] = [shorter(row) if isinstance(row, dict) else row for row in rows]
    return found


def _without_defaults(model: type[BaseModel], given: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in given.items():
        default, of = _fields(model).get(key, (..., None))
        kept = _without_defaults(of, value) if of and isinstance(value, dict) else value
        if not (of and kept == {} and default is not ...) and not _is_default(value, default):
            found[key] = kept
    return found


def _is_default(value: Any, default: Any) -> bool:
    """As JSON: 1 is not true."""
    return default is not ... and json.dumps(value) == json.dumps(default)


@cache
def _fields(model: type[BaseModel]) -> dict[str, tuple[Any, type[BaseModel] | None]]:
    """Key -> (its default as JSON, the model of its object)."""
    return {
        info.alias or name: (_default(info.get_default(call_default_factory=True)), _model(info.annotation))
        for name, info in model.model_fields.items()
    }


def _default(value: Any) -> Any:
    return ... if value is pydantic_core.PydanticUndefined else pydantic_core.to_jsonable_python(value)


def _model(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _short_key(key: dict[str, Any]) -> dict[str, Any]:
    own = {"tz": None, "as": key.get("column")}
    return {name: value for name, value in key.items() if not _is_default(value, own.get(name, ...))}


def _short_aggregate(row: dict[str, Any]) -> dict[str, Any]:
    function = FUNCTIONS.get(str(row.get("fn")))
    if function is None:
        return row
    columns = {name: row[name] for name in COLUMN_PARAMETERS if isinstance(row.get(name), str)}
    defaults: dict[str, Any] = {name: of.default for name, of in function.parameters.items()}
    try:
        defaults["as"] = function.name_for(columns)
    except KeyError:
        return row
    return {name: value for name, value in row.items() if not _is_default(value, defaults.get(name, ...))}
