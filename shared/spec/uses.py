"""The columns of the dataset that a spec names, and their uses."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from shared.errors import Detail, InvalidSpec, UnknownColumn
from shared.spec.expressions import columns
from shared.spec.expressions.text import ExpressionText
from shared.spec.faults import Location, pointer, refuse
from shared.spec.grouping import TimeBucket
from shared.spec.models import JobSpec
from shared.spec.names import MAX_GUESSES, did_you_mean, listed, quote

_PARTS = re.compile(r"\W+")
"""Between the parts of a column's name that an expression reads as names."""
_SHOW = frozenset({"nunique", "mode", "first", "last", "arg_min", "arg_max"})


@dataclass(frozen=True, slots=True)
class Mention:
    """The place in the spec that names a column of the dataset.

    *key*: its spelling is a group key. *value*: its values are computed with. Neither: it is only declared.
    *shown*: an aggregate tells values apart, or gives one back. *position* is the column of the expression's
    text, counted from 1, if an expression names it.
    """

    at: Location
    column: str
    key: bool = False
    value: bool = False
    shown: bool = False
    position: int | None = None


@dataclass(frozen=True)
class Uses:
    """The uses of all columns that a spec names. Only columns in use are typed and read."""

    mentions: tuple[Mention, ...]
    derived: tuple[str, ...] = ()

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The columns whose spelling is a group key."""
        return tuple(dict.fromkeys(m.column for m in self.mentions if m.key))

    @cached_property
    def values(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(m.column for m in self.mentions if m.value))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Each column in use once, keys first."""
        return tuple(dict.fromkeys((*self.keys, *self.values)))

    @cached_property
    def shown(self) -> frozenset[str]:
        """The columns whose values are told apart or given back by an aggregate that does not order them."""
        return frozenset(m.column for m in self.mentions if m.shown)

    def check(self, names: Sequence[str], hint: Callable[[str], str] = lambda _: "") -> None:
        """Raise UnknownColumn for every mention of a column that is not among *names*.

        *hint* may say more about an unknown name. Raises InvalidSpec for a derived column that is among them.
        """
        refuse(UnknownColumn, self._unknown(names, hint))
        refuse(InvalidSpec, self._taken(names))

    def _unknown(self, names: Sequence[str], hint: Callable[[str], str]) -> Iterator[Detail]:
        known = set(names)
        there_are = f"the data has {listed(names)}" if names else "the data has no columns"
        unknown = (m for m in self.mentions if m.column not in known)
        for no, mention in enumerate(unknown):
            told = ""
            if no < MAX_GUESSES:
                guess = did_you_mean(mention.column, names)
                more = _in_backticks(mention, names) or hint(mention.column)
                told = f"{guess}{' ' if guess else '; '}{there_are}{more}"
            place = "" if mention.position is None else f"column {mention.position}: "
            yield {
                "pointer": pointer(*mention.at),
                "column": mention.column,
                "detail": f"{place}there is no column {quote(mention.column)}{told}",
            }

    def _taken(self, names: Sequence[str]) -> Iterator[Detail]:
        known = set(names)
        for i, name in enumerate(self.derived):
            if name in known:
                yield {
                    "pointer": pointer("derive", i, "as"),
                    "detail": f"the data has a column {quote(name)} already; choose another name",
                }


def _in_backticks(mention: Mention, names: Sequence[str]) -> str:
    """A hint at a column that an expression names without backticks, and so in parts; else empty."""
    if mention.position is None:
        return ""
    whole = (name for name in names if not name.isidentifier() and mention.column in _PARTS.split(name))
    meant = next(whole, None)
    return f"; a name such as {quote(meant)} stands in backticks in an expression" if meant else ""


def uses(spec: JobSpec) -> Uses:
    derived = tuple(d.as_ for d in spec.derive)
    mentions = (m for m in _mentions(spec) if m.column not in derived or not (m.key or m.value))
    return Uses((*mentions,), derived)


def _mentions(spec: JobSpec) -> Iterator[Mention]:
    """Every mention of a column of a batch, a derived one too."""
    for name in spec.source.types:
        yield Mention(("source", "types", name), name)
    for at, expr in _expressions(spec):
        for column in columns(expr.tree):
            yield Mention(at, column.name, value=True, position=column.at)
    for i, key in enumerate(spec.group_by):
        if isinstance(key, TimeBucket):
            yield Mention(("group_by", i, "column"), key.column, value=True)
        else:
            yield Mention(("group_by", i), key, key=True)
    for i, aggregate in enumerate(spec.aggregates):
        for parameter, name in aggregate.columns.items():
            shown = parameter == "column" and aggregate.fn in _SHOW
            yield Mention(("aggregates", i, parameter), name, value=True, shown=shown)


def _expressions(spec: JobSpec) -> Iterator[tuple[Location, ExpressionText]]:
    """The expressions over columns of a batch."""
    for i, derived in enumerate(spec.derive):
        yield ("derive", i, "expr"), derived.expr
    if spec.where is not None:
        yield ("where",), spec.where
    for i, aggregate in enumerate(spec.aggregates):
        if aggregate.where is not None:
            yield ("aggregates", i, "where"), aggregate.where
