"""Marks on the fields of the spec that this version does not fully do yet, and the search for what they refuse.

A spec is read and checked as a whole first; only a valid one is held against the marks. So a mistake is never
hidden behind "not supported", and nothing that is not done is ever ignored.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from shared.errors import Detail
from shared.spec.pointers import pointer


@dataclass(frozen=True, slots=True)
class Built:
    """The values of a field that work today.

    With `each` the elements of an array are judged, not the array.
    """

    allows: Callable[[Any], bool]
    detail: str
    each: bool = False


def only(*values: object) -> Built:
    """Just these values work; None and the empty array mean that the field has to be left out."""
    spellings = ", ".join(str(value) for value in values if value not in (None, ()))
    return Built(
        lambda value: value in values,
        f"not supported yet; supported: {spellings}" if spellings else "not supported yet",
    )


NOT_YET = only(None)


def refusals(part: BaseModel, *at: str | int) -> Iterator[Detail]:
    """Every place below *part*, which stands at *at*, that asks for what is not built yet."""
    for name, info in type(part).model_fields.items():
        value, here = getattr(part, name), (*at, info.alias or name)
        children = list(_children(value, here))
        for mark in info.metadata:
            if isinstance(mark, Built):
                judged = children if mark.each else [(value, here)]
                yield from (
                    Detail(pointer=pointer(*place), detail=mark.detail)
                    for item, place in judged
                    if not mark.allows(item)
                )
        for child, place in children:
            if isinstance(child, BaseModel):
                yield from refusals(child, *place)


def _children(value: object, here: tuple[str | int, ...]) -> Iterator[tuple[object, tuple[str | int, ...]]]:
    if isinstance(value, tuple):
        yield from ((item, (*here, i)) for i, item in enumerate(value))
    else:
        yield value, here
