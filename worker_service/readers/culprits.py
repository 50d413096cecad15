"""Which values keep a CSV column from being of a kind, told from the planner's samples once that is an error."""

from collections.abc import Collection
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.source import SourceSpec
from shared.spec.types import DataType, Field, Kind
from worker_service.readers import csv_plan, infer, literals
from worker_service.readers.csv_faults import first_misfit
from worker_service.readers.files import SourceFile
from worker_service.readers.literals import Column
from worker_service.readers.place import shown
from worker_service.readers.read import file_format

_FEW = 3
"""So many misfits of a column are told."""


Wanted = tuple[str, Kind]
"""A column, and as which kind its text was to read."""


def culprits(files: list[SourceFile], source: SourceSpec, wanted: Collection[Wanted]) -> dict[Wanted, str]:
    """For each column, the first values that keep it from being what is *wanted* of it, and how often they occur if there are no more."""
    if not wanted or file_format(files[0], source) != "csv":
        return {}
    columns = {name for name, _ in wanted}
    texts: dict[str, list[Column]] = {name: [] for name in columns}
    for place, samples in csv_plan.samples(files, source):
        found = infer.sampled_texts(samples, place, columns)
        for name, text in found.items():
            texts[name].append(text)
    told = {
        (name, kind): _culprit(pa.concat_arrays(texts[name]), kind) for name, kind in wanted if texts[name]
    }
    return {key: culprit for key, culprit in told.items() if culprit}


def _culprit(text: Column, kind: Kind) -> str:
    counts = pc.value_counts(text.drop_null())
    values, occurs = counts.field("values"), counts.field("counts")
    wrong: list[tuple[int, str]] = []
    fits = partial(literals.fits, field=Field("", DataType(kind)), zone="UTC")
    while (row := first_misfit(values, fits)) is not None:
        if len(wrong) == _FEW:
            return ", ".join(repr(value) for _, value in wrong) + " and others"
        wrong.append((occurs[row].as_py(), shown(values[row].as_buffer().to_pybytes(), "utf-8")))
        others = pc.not_equal(values, values[row])
        values, occurs = values.filter(others), occurs.filter(others)
    if not wrong:
        return ""
    return (
        ", ".join(f"{value!r} in {_share(count / len(text))}" for count, value in sorted(wrong, reverse=True))
        + " of sampled rows"
    )


def _share(part: float) -> str:
    return f"{part:.1%}" if part >= 0.001 else "less than 0.1%"
