"""The requests that the gateway answers, as values: its routes, scopes and parameters come from them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from api_service.auth.rights import Scope

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query parameter, or a header.

    *kind* is the JSON Schema of one value. A *repeated* one may be given many times.
    """

    name: str
    about: str
    kind: Mapping[str, Any]
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    Without a *scope* it needs no key. `parameters` are all that the query may have, unless it is *open*: then
    other names are filters. *body*, and each of *answers* by status, is the type of a document. It is a media
    type for anything but JSON, a tuple for several forms, and None for no body. `about` tells more than the
    summary, and `example` is a body.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    scope: Scope | None
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    open: bool = False
    body: Any = None
    media: str = "application/json"
    """The media type of a *body* that is a document."""
    example: Any = None
    answers: Mapping[int, Any]
    defer_continue: bool = False
    """Whether the handler itself answers `Expect: 100-continue`, once it wants the body."""

    @property
    def of_job(self) -> bool:
        """Whether it is about the one job that `id` in its path names."""
        return self.path.startswith(("/v1/jobs/{id:", "/jobs/{id:"))


def text(name: str, about: str, **kind: Any) -> Parameter:
    return Parameter(name=name, about=about, kind={"type": "string"} | kind)


def whole(name: str, about: str, most: int) -> Parameter:
    return Parameter(name=name, about=about, kind={"type": "integer", "minimum": 1, "maximum": most})
