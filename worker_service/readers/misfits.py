"""The values that keep a column from being of a kind: for an error, from the planner's samples."""

from collections.abc import Collection

import pyarrow as pa

from shared.spec.source import SourceSpec
from shared.spec.types import DataType, Field, Kind
from worker_service.readers import literals
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.formats import format_of
from worker_service.readers.literals import Column

Wanted = tuple[str, Kind]
"""A column, and the kind that its text has to be read as."""


def misfits(files: list[SourceFile], source: SourceSpec, wanted: Collection[Wanted]) -> dict[Wanted, str]:
    """For each of *wanted*, the values that keep the column from being of the kind, and the cure.

    Columns without misfits are left out, and so are all of a format that declares its types. A text can be no
    misfit and still be text, where values have types: then there is the cure alone.
    """
    found_in = format_of(files[0], source) if wanted else None
    if found_in is None or found_in.sampled_texts is None:
        return {}
    columns = {name for name, _ in wanted}
    texts: dict[str, list[Column]] = {name: [] for name in columns}
    for found in found_in.sampled_texts(files, source, columns):
        for name, text in found.items():
            texts[name].append(text)
    told = {
        (name, kind): _told(pa.concat_arrays(texts[name]), name, kind, source, always=found_in.typed_values)
        for name, kind in wanted
        if texts[name]
    }
    return {key: values for key, values in told.items() if values}


def _told(text: Column, name: str, kind: Kind, source: SourceSpec, *, always: bool) -> str:
    """The misfits and the cure; without misfits nothing or, *always*, the cure."""
    found = literals.culprits(text, DataType(kind), source)
    cure = literals.cure(text, Field(name, DataType(kind)), source) if found or always else ""
    return "; ".join(filter(None, (found, cure)))
