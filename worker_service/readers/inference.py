"""The kinds of undeclared columns of text, from samples of their values, by the grammar in `literals`.

A column is inferred for its values, for its spelling as a group key, or for both. Decimals are never
inferred.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from shared.core.plan import Warned
from shared.core.warnings import spellings_warning, text_warning
from shared.spec.source import SourceSpec
from shared.spec.types import FLOAT64, STRING, DataType, Field, Kind, join
from shared.spec.uses import Uses
from worker_service.readers.literals import Column, Fits, converted, fits, narrowest, reading

_KINDS: tuple[Kind, ...] = ("bool", "int64", "float64", "date", "timestamp", "timestamptz", "string")
"""Each before those that hold its values."""
_KEY_KINDS: tuple[Kind, ...] = ("bool", "int64", "date", "timestamp", "string")
"""Those whose values have one spelling each. `10.10` and `10.1` stay two keys."""
_READS: dict[Kind, str] = {
    "bool": "bool",
    "int64": "number",
    "float64": "number",
    "date": "time",
    "timestamp": "time",
    "timestamptz": "time",
}
_GLANCE = 2_000
"""Texts of a column that are looked at before all are."""
_KEPT = 16
"""Files whose sampled texts are kept, of each column; and as many that make it text."""


class Use(NamedTuple):
    """A column, as a group key or by its values."""

    column: str
    key: bool


class Readings(NamedTuple):
    """The sort of value of each column; the values that make it text all the same, and the cure; warnings."""

    reads: dict[str, str]
    culprits: dict[str, str]
    warnings: list[Warned]


def undeclared(columns: Sequence[str], source: SourceSpec, uses: Uses) -> Iterator[Use]:
    """The uses of *columns* whose kind is to be inferred."""
    keys, values = set(uses.keys), set(uses.values)
    for column in columns:
        if column not in source.types:
            yield from (Use(column, key) for key, used in ((True, keys), (False, values)) if column in used)


class Samples:
    """The narrowest kind of each use over all texts that are added, and some of these texts."""

    def __init__(self, uses: Iterable[Use], source: SourceSpec) -> None:
        self._source = source
        self._kinds: dict[Use, Kind] = dict.fromkeys(uses, "null")
        self._texts: dict[str, list[Column]] = defaultdict(list)
        self._odd: dict[str, list[Column]] = defaultdict(list)
        self._quoted: set[str] = set()
        self.columns = {use.column for use in self._kinds}

    @property
    def types(self) -> dict[Use, DataType]:
        """A key that has nothing but quoted nulls is a string: it tells them from unquoted ones."""
        return {
            use: STRING if kind == "null" and use.key and use.column in self._quoted else DataType(kind)
            for use, kind in self._kinds.items()
        }

    def add(
        self,
        texts: Mapping[str, Column],
        kinds: Mapping[str, Kind] = MappingProxyType({}),
        quoted: Collection[str] = (),
        holds: Mapping[str, Fits] = MappingProxyType({}),
    ) -> None:
        """The sampled texts of one file, by column. *kinds* are those that the file's own types give.

        *quoted* columns have texts or quoted nulls. *holds* are quicker than `fits`, for some columns.
        """
        self._quoted.update(quoted)
        for use, before in self._kinds.items():
            text, kind = texts.get(use.column), kinds.get(use.column)
            if kind is None and text is not None:
                kind = kind_of(text, use, self._source, before, holds.get(use.column, fits))
            self._kinds[use] = _joined(before, kind or "null", use)
            if text is not None and not use.key:
                kept = self._odd if kind == "string" else self._texts
                if len(kept[use.column]) < _KEPT:
                    kept[use.column].append(text)

    def readings(self, uses: Uses) -> Readings:
        """How the columns read that are used by their values."""
        found = Readings({}, {}, [])
        for (name, key), kind in self._kinds.items():
            kept = [*self._texts[name], *self._odd[name]]
            if key or not kept:
                continue
            text = pa.concat_arrays(kept)
            if kind != "string":
                found.reads[name] = _READS.get(kind, "")
                if kind == "float64" and name in uses.shown and self._spelled_differently(name, text):
                    found.warnings.append(spellings_warning(name))
            elif reading(_glance(text), name, self._source) and (read := reading(text, name, self._source)):
                found.reads[name] = read.family
                found.culprits[name] = "; ".join(filter(None, (read.culprits, read.cure)))
                found.warnings.append(text_warning(name, read.family, found.culprits[name]))
        return found

    def _spelled_differently(self, name: str, text: Column) -> bool:
        values = converted(text, Field(name, FLOAT64), self._source).values
        return int(pc.count_distinct(text).as_py()) > int(pc.count_distinct(values).as_py())


def _glance(text: Column) -> Column:
    """Texts from everywhere in *text*, few enough that a look at each costs little."""
    return text.take(pa.array(range(0, len(text), max(len(text) // _GLANCE, 1))))


def kind_of(text: Column, use: Use, source: SourceSpec, before: Kind = "null", holds: Fits = fits) -> Kind:
    """The narrowest kind that holds every text; `null` where there is none.

    If *before*, the kind of other texts, holds these too, it is the answer: the kind of all is the same.
    """
    if text.null_count == len(text):
        return "null"
    if before not in {"null", "string"} and holds(text, Field("", DataType(before), key=use.key), source):
        return before
    return narrowest(text, _KEY_KINDS if use.key else _KINDS, source, key=use.key, holds=holds)


def _joined(left: Kind, right: Kind, use: Use) -> Kind:
    """The narrowest kind that holds the texts of both. Keys of two kinds are strings."""
    if not use.key or "null" in {left, right}:
        return join(left, right)
    return left if left == right else "string"
