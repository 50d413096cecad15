"""Which columns a new version of a result may have: those of the published version, and more after them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from shared.spec.names import quote
from shared.spec.types import parse_result_type, widenings

Column = dict[str, str]
Undecided = Mapping[str, Collection[str]]
"""Column -> the types that it may still get before all data is read: a wider one, or that of a large sum."""
Origins = Mapping[str, str]
"""Column -> the column of the dataset that it has the type of."""
_SHOWN = 5


def misfits(old: Sequence[Column], new: Sequence[Column], undecided: Undecided | None = None) -> str:
    """The differences that keep *new* from following *old*, column by column; empty if there is none.

    A type that *undecided* allows is no difference.
    """
    wrong = [
        f"column {no} is {_named(was)} there and {_named(now)} here"
        for no, was, now in _different(old, new, undecided or {})
    ]
    more = f", and {len(wrong) - _SHOWN} more differ" if len(wrong) > _SHOWN else ""
    return ", ".join(wrong[:_SHOWN]) + more


class Restoring(NamedTuple):
    """An entry of `source.types` that gives a column of a result its old type.

    `condition` is one of the data, empty if the type holds every value of the present one.
    """

    column: str
    type: str
    condition: str


def restoring(
    old: Sequence[Column], new: Sequence[Column], undecided: Undecided, origins: Origins
) -> list[Restoring]:
    """The entries that give columns of *new* the types of *old*, where any can."""
    return [
        Restoring(origins[was["name"]], was["type"], _condition(origins[was["name"]], was, now))
        for _, was, now in _different(old, new, undecided)
        if now and was["name"] == now["name"] and was["name"] in origins and "[" not in was["type"]
    ]


def _condition(column: str, was: Column, now: Column) -> str:
    if was["type"] in widenings(parse_result_type(now["type"]).kind):
        return ""
    return f", if all values of {quote(column)} are {was['type']}"


def _different(
    old: Sequence[Column], new: Sequence[Column], undecided: Undecided
) -> Iterator[tuple[int, Column, Column | None]]:
    for no, (was, now) in enumerate(zip_longest(old, new[: len(old)]), 1):
        same_name = now is not None and was["name"] == now["name"]
        if was != now and not (same_name and was["type"] in undecided.get(was["name"], ())):
            yield no, was, now


def _named(column: Column | None) -> str:
    return "missing" if column is None else f'"{column["name"]}" {column["type"]}'
