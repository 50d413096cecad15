"""Which columns of the dataset a spec names, and for what."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from shared.errors import Detail, UnknownColumn
from shared.spec.faults import Location, pointer, refuse
from shared.spec.grouping import TimeBucket
from shared.spec.models import JobSpec
from shared.spec.names import MAX_GUESSES, did_you_mean, listed, quote


@dataclass(frozen=True, slots=True)
class Mention:
    """The place in the spec that names a column of the dataset.

    *key*: its spelling is a group key. *value*: its values are computed with. Neither: it is only declared.
    """

    at: Location
    column: str
    key: bool = False
    value: bool = False


@dataclass(frozen=True)
class Uses:
    """What a spec wants of its dataset. Only the columns in use are typed and read."""

    mentions: tuple[Mention, ...]

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

    def check(self, names: Sequence[str], hint: Callable[[str], str] = lambda _: "") -> None:
        """Raise UnknownColumn for every mention of a column that is not among *names*.

        *hint* may say more about an unknown name.
        """
        refuse(UnknownColumn, self._unknown(names, hint))

    def _unknown(self, names: Sequence[str], hint: Callable[[str], str]) -> Iterator[Detail]:
        known = set(names)
        there_are = f"the data has {listed(names)}" if names else "the data has no columns"
        unknown = (m for m in self.mentions if m.column not in known)
        for no, mention in enumerate(unknown):
            told = ""
            if no < MAX_GUESSES:
                guess = did_you_mean(mention.column, names)
                told = f"{guess}{' ' if guess else '; '}{there_are}{hint(mention.column)}"
            yield {
                "pointer": pointer(*mention.at),
                "detail": f"there is no column {quote(mention.column)}{told}",
            }


def uses(spec: JobSpec) -> Uses:
    return Uses(tuple(_mentions(spec)))


def _mentions(spec: JobSpec) -> Iterator[Mention]:
    for name in spec.source.types:
        yield Mention(("source", "types", name), name)
    for i, key in enumerate(spec.group_by):
        if isinstance(key, TimeBucket):
            yield Mention(("group_by", i, "column"), key.column, value=True)
        else:
            yield Mention(("group_by", i), key, key=True)
    for i, aggregate in enumerate(spec.aggregates):
        for parameter, name in aggregate.columns.items():
            yield Mention(("aggregates", i, parameter), name, value=True)
