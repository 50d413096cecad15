"""Which columns a new version of a result may have: those of the published version, and more after them."""

from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest

Column = dict[str, str]
Undecided = Mapping[str, Collection[str]]
"""Column -> the types that it may still get before all data is read: a wider one, or that of a large sum."""
_SHOWN = 5


def misfits(old: Sequence[Column], new: Sequence[Column], undecided: Undecided | None = None) -> str:
    """The differences that keep *new* from following *old*, column by column; empty if there is none.

    A type that *undecided* allows is no difference.
    """
    may_become = undecided or {}
    wrong = [
        f"column {no} is {_named(was)} there and {_named(now)} here"
        for no, (was, now) in enumerate(zip_longest(old, new[: len(old)]), 1)
        if was != now
        and not (now and was["name"] == now["name"] and was["type"] in may_become.get(now["name"], ()))
    ]
    more = f", and {len(wrong) - _SHOWN} more differ" if len(wrong) > _SHOWN else ""
    return ", ".join(wrong[:_SHOWN]) + more


def _named(column: Column | None) -> str:
    return "missing" if column is None else f'"{column["name"]}" {column["type"]}'
