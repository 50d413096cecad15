"""Which columns a new version of a result may have: those of the published one, and more behind them."""

from collections.abc import Collection, Sequence
from itertools import zip_longest

Column = dict[str, str]
_SHOWN = 5
_SUM = {"int64", "decimal(38,0)"}
"""The types of a sum of integers; which of them it is, the merge decides."""


def misfits(old: Sequence[Column], new: Sequence[Column], undecided: Collection[str] = ()) -> str:
    """How *new* cannot follow *old*, place by place; nothing if it can.

    *undecided* names the sums of integers, before they are merged.
    """
    wrong = [
        f"column {no} is {_named(was)} there and {_named(now)} here"
        for no, (was, now) in enumerate(zip_longest(old, new[: len(old)]), 1)
        if was != now and not (now and was["name"] == now["name"] in undecided and was["type"] in _SUM)
    ]
    more = f", and {len(wrong) - _SHOWN} more differ" if len(wrong) > _SHOWN else ""
    return ", ".join(wrong[:_SHOWN]) + more


def _named(column: Column | None) -> str:
    return "missing" if column is None else f'"{column["name"]}" {column["type"]}'
