"""The OpenAPI 3.1 document, made from the operations. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any

import msgspec
from pydantic import BaseModel

from api_service.operations import Operation, Parameter

_REF = "#/components/schemas/{name}"
_PLACE = re.compile(r"\{(\w+):((?:[^{}]|\{[^{}]*\})*)\}")
"""A part of a path that names something, and its pattern."""
_ABOUT = (
    "Gristmill turns large files into indexed Postgres tables of aggregates. Submit a job, watch it, and "
    "read its rows. Each error is a problem (RFC 9457), of which clients test `code`."
)


class ErrorDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A problem (RFC 9457). `errors` name each wrong place."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    code: str
    category: str
    retryable: bool
    errors: list[dict[str, Any]]


@dataclass(frozen=True)
class Description:
    """The OpenAPI document, made when it is asked for first: that takes some 100 ms."""

    operations: Sequence[Operation]
    version: str
    server: str

    @cached_property
    def document(self) -> dict[str, Any]:
        return document(self.operations, self.version, self.server)


def document(operations: Sequence[Operation], version: str, server: str) -> dict[str, Any]:
    """*server* is the URL that the paths are below, or `/`."""
    paths: dict[str, dict[str, Any]] = {}
    structs, models = _types(operations)
    _, schemas = msgspec.json.schema_components(
        [ErrorDocument, *structs], schema_hook=_anything, ref_template=_REF
    )
    for model in models:
        found = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
        schemas |= found.pop("$defs", {}) | {model.__name__: found}
    for operation in operations:
        paths.setdefault(template(operation.path), {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gristmill", "version": version, "description": _ABOUT},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key"}},
        },
    }


def template(path: str) -> str:
    """*path* as OpenAPI writes it, without patterns."""
    return _PLACE.sub(r"{\1}", path)


def _types(operations: Iterable[Operation]) -> tuple[list[Any], list[type[BaseModel]]]:
    """The types of documents, once each: those of msgspec, and those of pydantic."""
    bodies = (body for each in operations for body in (each.body, *each.answers.values()))
    found = dict.fromkeys(one for body in bodies for one in _each(body) if not isinstance(one, str))
    models = [one for one in found if isinstance(one, type) and issubclass(one, BaseModel)]
    return [one for one in found if one not in models], models


def _each(body: Any) -> tuple[Any, ...]:
    if body is None:
        return ()
    return body if isinstance(body, tuple) else (body,)


def _operation(operation: Operation) -> dict[str, Any]:
    family = operation.path.removeprefix("/v1/").split("/")[0] if "/v1/" in operation.path else "service"
    found: dict[str, Any] = {
        "operationId": operation.handler.__module__.rpartition(".")[2] + "_" + operation.handler.__name__,
        "summary": operation.summary,
        "tags": [family],
        "parameters": [
            *(_place(name, pattern) for name, pattern in _PLACE.findall(operation.path)),
            *(_parameter(each, "query") for each in operation.parameters),
            *(_parameter(each, "header") for each in operation.headers),
        ],
        "responses": {str(status): _answer(status, body) for status, body in operation.answers.items()}
        | {"default": _content("A problem", {"application/problem+json": _schema(ErrorDocument)})},
        "security": [] if operation.scope is None else [{"key": [operation.scope]}, {}],
    }  # fmt: skip
    if operation.about:
        found["description"] = operation.about
    if operation.open:
        found["parameters"].append(_FILTERS)
    if operation.body is not None:
        content = _contents(operation.body, operation.media)
        if operation.example is not None:
            content[operation.media]["example"] = operation.example
        found["requestBody"] = {"required": True, "content": content}
    return found


_FILTERS = {
    "name": "filters",
    "in": "query",
    "description": "A column, or a column and an operator: country=KR, revenue__gte=100",
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}


def _place(name: str, pattern: str) -> dict[str, Any]:
    kind = {"type": "string", "pattern": f"^{pattern}$"}
    return {"name": name, "in": "path", "required": True, "schema": kind}


def _parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    kind = parameter.kind if not parameter.repeated else {"type": "array", "items": parameter.kind}
    return {"name": parameter.name, "in": place, "description": parameter.about, "schema": kind}


def _answer(status: int, body: Any) -> dict[str, Any]:
    return _content(HTTPStatus(status).phrase, _contents(body))


def _content(description: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description} | ({"content": content} if content else {})


def _contents(body: Any, media: str = "application/json") -> dict[str, Any]:
    """By media type; binary ones have no schema. Several documents are alternatives."""
    found: dict[str, Any] = {one: {} for one in _each(body) if isinstance(one, str)}
    schemas = [_schema(one)["schema"] for one in _each(body) if not isinstance(one, str)]
    if schemas:
        found[media] = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
    return found


def _schema(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {"schema": {"$ref": _REF.format(name=kind.__name__)}}
    (schema,), _ = msgspec.json.schema_components([kind], schema_hook=_anything, ref_template=_REF)
    return {"schema": schema}


def _anything(_: type) -> dict[str, Any]:
    """The schema of a value of any type, such as that of a column."""
    return {"description": "of any type"}
