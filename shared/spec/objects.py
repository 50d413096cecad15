"""The base class of a spec's objects, and the marks on fields that this version supports only in part.

A spec is first read and checked as a whole; only a valid one is held against the marks. So a mistake is never
hidden behind "not supported", and nothing that is not supported is ever ignored.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from shared.errors import Detail
from shared.spec.faults import Location, pointer

ADDED = "added by version 2"
"""A mark: the key is left out of the JSON where it has its default, so that older specs keep their digest."""


class SpecObject(BaseModel):
    """A frozen object without unknown keys, whose errors never show the input."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @model_serializer(mode="wrap")
    def _without_added_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        written: dict[str, object] = handler(self)
        for name, info in type(self).model_fields.items():
            if ADDED in info.metadata and getattr(self, name) == info.default:
                written.pop(info.alias or name, None)
        return written


@dataclass(frozen=True, slots=True)
class Supported:
    """A mark: which values of a field are supported, and the message for the others.

    With `each` the elements of an array are checked, not the array.
    """

    allows: Callable[[Any], bool]
    detail: str
    each: bool = False


def supports_only(*values: object) -> Supported:
    """Just these values; None and the empty array mean that the field has to be left out."""
    spellings = ", ".join(str(value) for value in values if value not in (None, ()))
    return Supported(
        lambda value: value in values,
        f"not supported yet; supported: {spellings}" if spellings else "not supported yet",
    )


def unsupported_fields(checked: BaseModel, *at: str | int) -> Iterator[Detail]:
    """Every value below *checked*, whose location is *at*, that its mark does not allow."""
    for name, info in type(checked).model_fields.items():
        value, here = getattr(checked, name), (*at, info.alias or name)
        children = list(_children(value, here))
        for mark in info.metadata:
            if isinstance(mark, Supported):
                yield from (
                    Detail(pointer=pointer(*location), detail=mark.detail)
                    for item, location in (children if mark.each else [(value, here)])
                    if not mark.allows(item)
                )
        for child, location in children:
            if isinstance(child, BaseModel):
                yield from unsupported_fields(child, *location)


def _children(value: object, here: Location) -> Iterator[tuple[object, Location]]:
    if isinstance(value, tuple):
        yield from ((item, (*here, i)) for i, item in enumerate(value))
    else:
        yield value, here
