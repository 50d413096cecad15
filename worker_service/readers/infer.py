"""One schema for a dataset, inferred from samples at places that depend on nothing but the files' sizes.

A column's kind is the narrowest that holds every value of every sample, by the grammar in `literals`;
decimals are never inferred. A column without any value in the samples becomes int64: nulls are the same in
every type, every aggregate accepts int64, and it can still widen to float64 and string where a value turns up
later, which string could not.
"""

from collections.abc import Collection, Mapping

import pyarrow as pa

from shared.errors import UnknownColumn
from shared.spec.faults import pointer
from shared.spec.names import listed, quote
from shared.spec.types import INT64, DataType, Field, Kind, Schema, parse_type
from worker_service.readers.csv_faults import narrowest
from worker_service.readers.csv_read import tokenized
from worker_service.readers.csv_split import Block
from worker_service.readers.csv_text import OCTETS, column, nulled
from worker_service.readers.literals import Column
from worker_service.readers.place import Place

_KINDS: list[Kind] = ["bool", "int64", "float64", "date", "timestamp", "timestamptz", "string"]
"""Each before those that hold its values."""


def sampled_kinds(samples: list[Block], place: Place) -> dict[str, Kind]:
    """The kind of every column over all *samples*; `null` where no value was seen."""
    texts = sampled_texts(samples, place, place.names)
    return {name: _kind(texts[name]) if texts else "null" for name in place.names}


def sampled_texts(samples: list[Block], place: Place, columns: Collection[str]) -> dict[str, Column]:
    """The texts of *columns* over all *samples*; nothing without a sample."""
    tables = [tokenized(sample, place, dict.fromkeys(columns, OCTETS)) for sample in samples]
    return {
        name: nulled(pa.concat_arrays([column(t, name) for t in tables]), place.options)
        for name in columns
        if tables
    }


def _kind(text: Column) -> Kind:
    return "null" if text.null_count == len(text) else narrowest(text, _KINDS, "UTC")


def settled(kinds: Mapping[str, Kind], types: Mapping[str, str]) -> Schema:
    """The schema of columns of these *kinds*, joined over all samples, and of the declared *types*."""
    return Schema(tuple(_field(name, kind, types) for name, kind in kinds.items()))


def _field(name: str, kind: Kind, types: Mapping[str, str]) -> Field:
    if name in types:
        return Field(name, parse_type(types[name]), declared=True)
    return Field(name, INT64 if kind == "null" else DataType(kind))


def check_declared(names: Collection[str], types: Mapping[str, str]) -> None:
    """Raise UnknownColumn for a declared type of a column that the dataset does not have."""
    known = dict.fromkeys(names)
    for name in types:
        if name not in known:
            raise UnknownColumn(
                f"the dataset has no column {quote(name)}; it has {listed(list(known))}",
                pointer=pointer("source", "types", name),
            )
