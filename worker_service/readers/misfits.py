"""The values that keep a column from being of a kind: for an error, from the planner's samples."""

from collections.abc import Collection
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.source import SourceSpec
from shared.spec.types import DataType, Field, Kind
from worker_service.readers import literals
from worker_service.readers.batch import shown
from worker_service.readers.bytes.local import SourceFile
from worker_service.readers.formats import format_of
from worker_service.readers.literals import Column, first_misfit

_FEW = 3
"""Most misfits of a column in a message."""

Wanted = tuple[str, Kind]
"""A column, and the kind that its text has to be read as."""


def misfits(files: list[SourceFile], source: SourceSpec, wanted: Collection[Wanted]) -> dict[Wanted, str]:
    """For each of *wanted*, the first values that keep the column from being of the kind.

    If there are few, with their share of the sampled rows. Columns without misfits are left out, and so are
    all of a format that declares its types.
    """
    sampled_texts = format_of(files[0], source).sampled_texts if wanted else None
    if sampled_texts is None:
        return {}
    columns = {name for name, _ in wanted}
    texts: dict[str, list[Column]] = {name: [] for name in columns}
    for found in sampled_texts(files, source, columns):
        for name, text in found.items():
            texts[name].append(text)
    told = {
        (name, kind): _told(pa.concat_arrays(texts[name]), kind, source)
        for name, kind in wanted
        if texts[name]
    }
    return {key: values for key, values in told.items() if values}


def _told(text: Column, kind: Kind, source: SourceSpec) -> str:
    counts = pc.value_counts(text.drop_null())
    values, occurs = counts.field("values"), counts.field("counts")
    wrong: list[tuple[int, str]] = []
    fits = partial(literals.fits, field=Field("", DataType(kind)), source=source)
    while (row := first_misfit(values, fits)) is not None:
        if len(wrong) == _FEW:
            return ", ".join(repr(value) for _, value in wrong) + " and others"
        wrong.append((occurs[row].as_py(), shown(values[row].as_buffer().to_pybytes(), "utf-8")))
        others = pc.not_equal(values, values[row])
        values, occurs = values.filter(others), occurs.filter(others)
    if not wrong:
        return ""
    shares = (f"{value!r} in {_share(count / len(text))}" for count, value in sorted(wrong, reverse=True))
    return ", ".join(shares) + " of sampled rows"


def _share(part: float) -> str:
    return f"{part:.1%}" if part >= 0.001 else "less than 0.1%"
