"""The dry run's look at a planned dataset: sample rows, all columns, and estimates from samples."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count
from math import isfinite
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.core.look import (
    SHOWN_COLUMNS,
    SHOWN_FILES,
    SHOWN_ROWS,
    Estimate,
    Look,
    LookedColumn,
    LookedFile,
    SampleRow,
    dialect,
    estimated_groups,
    estimated_rows,
)
from shared.core.plan import DatasetFile, Warned
from shared.core.warnings import key_warning, sorted_warnings
from shared.errors import FatalError, SchemaWidened, UsageError
from shared.spec.bind import bind
from shared.spec.grouping import AggregateSpec, key_name
from shared.spec.models import JobSpec, Limits, OutputSpec
from shared.spec.types import Field, Schema, parse_type
from worker_service import kernels
from worker_service.child.rows import PreparedRows
from worker_service.readers import BadRow, Batch, PlannedDataset, SourceFile
from worker_service.readers.bytes.compressed import compression_of
from worker_service.readers.look import (
    PLACE_BYTES,
    Glimpse,
    PlaceRead,
    content_bytes,
    glimpse,
    read_place,
)

TEXT_CHARACTERS = 500
"""Characters of a text in a sample row."""
SAMPLE_CHARACTERS = 1 << 20
"""Characters of all texts in sample rows, about."""
_BATCHES = 1000
"""The most batches that are read of a place; their bytes are bounded, too."""
WIDENINGS = 8
"""How often a place is read again because a value needs a wider type."""

T = TypeVar("T")


def look(
    spec: JobSpec,
    planned: PlannedDataset,
    found: tuple[DatasetFile, ...],
    files: list[SourceFile],
    warnings: tuple[Warned, ...],
    target_bytes: int,
) -> Look:
    """Look at *files*, which are *found* and *planned* to be cut into chunks of about *target_bytes*.

    Raises the errors of a job that no bad row explains, if the first records have one.
    """
    seen = glimpse(files, planned, SHOWN_COLUMNS)
    total = sum(file.bytes for file in found)
    first = _first(seen, planned.schema)
    rows, groups = _counted(spec, planned, files, seen)
    shown = tuple(
        LookedFile(file.uri, file.size, compression_of(file, planned.source.compression))
        for file in files[:SHOWN_FILES]
    )
    kinds = {file.compression for file in shown}
    columns = _columns(planned, seen, first)
    return Look(
        files=shown,
        file_count=len(files),
        bytes=total,
        format=planned.format,
        compression=next(iter(kinds)) if len(kinds) == 1 else "mixed",
        csv=dialect(planned.source.csv) if planned.format in {"csv", "tsv"} else None,
        columns=_shown(columns),
        column_count=len({column.name for column in columns}),
        sample=tuple(_sample(first.batches)) if first else (),
        warnings=sorted_warnings(
            [*warnings, *_respelled(planned, seen), *_too_many(groups, spec.limits.max_groups)]
        ),
        chunks=_chunks(planned, files, total, target_bytes),
        rows=rows,
        groups=groups,
    )


def _too_many(groups: Estimate, most: int) -> tuple[Warned, ...]:
    if groups.value is None or groups.value <= most:
        return ()
    told = f"about {groups.value:,} groups are expected; limits.max_groups is {most:,}"
    return (Warned("many_groups", f"{told}: raise it, or group by fewer or coarser keys"),)


def _respelled(planned: PlannedDataset, seen: Glimpse) -> Iterator[Warned]:
    """A warning for each undeclared group key whose values have another type."""
    values = {one.name: one.type for one in (*seen.schema.fields, *planned.schema.fields) if not one.key}
    for key in planned.schema.fields:
        value = values.get(key.column, key.type)
        if key.key and not key.declared and value.kind not in {key.type.kind, "null"}:
            yield key_warning(key.column, str(key.type), str(value))


def _chunks(planned: PlannedDataset, files: list[SourceFile], total: int, target: int) -> Estimate:
    """Exact, unless a large file could not be cut without reading all of it."""
    extents = [extent for extents in planned.extents for extent in extents]
    uncut = planned.format in {"csv", "tsv"} and any(
        not files[extent.file].passes and extent.guesses == () and extent.end - extent.start > 4 * target
        for extent in extents
    )
    if uncut:
        return Estimate(value=-(-total // target), accuracy="estimate", method="bytes by the size of a chunk")
    return Estimate(value=len(planned.extents), accuracy="exact", method="counted")


# --- columns and sample rows --------------------------------------------------------------------------------


def _first(seen: Glimpse, used: Schema) -> PlaceRead | None:
    """The first records, with every column that is typed; the types of *used* columns are theirs."""
    if not seen.places:
        return None
    values = {one.column: one for one in used.fields if not one.key}
    fields = [
        replace(one, type=values[one.name].type) if one.name in values else one for one in seen.schema.fields
    ]
    return _widening(
        Schema(tuple(fields)),
        lambda schema: read_place(
            seen.places[0], seen.source, schema, size=PLACE_BYTES, most=8, least=SHOWN_ROWS
        ),
    )


def _widening(schema: Schema, read: Callable[[Schema], T]) -> T | None:
    """The answer of *read*, with *schema* as wide as the values need; None if no type is wide enough."""
    for _ in range(WIDENINGS):
        try:
            return read(schema)
        except SchemaWidened as found:
            schema = Schema(
                tuple(
                    replace(field, type=parse_type(found.widen[field.name]))
                    if field.name in found.widen
                    else field
                    for field in schema.fields
                )
            )
    return None


def _columns(planned: PlannedDataset, seen: Glimpse, first: PlaceRead | None) -> tuple[LookedColumn, ...]:
    """All columns in the order of the dataset; one in use both as a key and by its values stands twice."""
    used: dict[str, list[Field]] = {}
    for one in planned.schema.fields:
        used.setdefault(one.column, []).append(one)
    others = {one.name: one for one in seen.schema.fields}
    nulls = _null_shares(first)
    declared = planned.source.declared
    return tuple(
        LookedColumn(
            name=name,
            type=str(found.type) if found else None,
            used=name in used,
            declared=name in declared,
            key=found.key if found else False,
            nulls=nulls.get(name),
        )
        for name in dict.fromkeys((*seen.names, *used))
        for found in used.get(name, [others.get(name)])
    )


def _shown(columns: tuple[LookedColumn, ...]) -> tuple[LookedColumn, ...]:
    """The columns in use and the first others."""
    room = max(SHOWN_COLUMNS - sum(column.used for column in columns), 0)
    others = [column.name for column in columns if not column.used][:room]
    kept = set(others)
    return tuple(column for column in columns if column.used or column.name in kept)


def _null_shares(first: PlaceRead | None) -> dict[str, float]:
    tables = [batch.table for batch in first.batches if batch.table.num_rows] if first else []
    rows = sum(table.num_rows for table in tables)
    return {
        name: round(sum(table[name].null_count for table in tables) / rows, 4)
        for name in (tables[0].column_names if tables else ())
        if name
    }


def _sample(batches: list[Batch]) -> Iterator[SampleRow]:
    """The first records, good and bad, in file order."""
    left, room = SHOWN_ROWS, SAMPLE_CHARACTERS
    for batch in batches:
        bad = {int(number): no for no, number in enumerate(batch.bad.rows[:left])}
        told = batch.bad_rows(batch.bad.rows[:left])
        good = batch.table.slice(0, left)
        numbers = batch.numbers(np.arange(good.num_rows))
        found: list[tuple[int, SampleRow]] = [
            (number, SampleRow(bad=_bad(row))) for number, row in zip(bad, told, strict=True)
        ]
        found += [(int(number), _good(row)) for number, row in zip(numbers, _rows_of(good), strict=True)]
        for _, row in sorted(found, key=lambda pair: pair[0])[:left]:
            left, room = left - 1, room - _size(row)
            if room < 0:
                return
            yield row
        if not left:
            return


def _rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    names = [name for name in table.column_names if name]
    return iter(table.select(names).to_pylist() if names else [{}] * table.num_rows)


def _bad(row: BadRow) -> dict[str, Any]:
    told = dict(row.detail())
    return told | {"text": row.record[:TEXT_CHARACTERS] if row.record is not None else None}


def _good(row: Mapping[str, Any]) -> SampleRow:
    cut = tuple(
        name for name, value in row.items() if isinstance(value, str) and len(value) > TEXT_CHARACTERS
    )
    return SampleRow(values={name: _value(value) for name, value in row.items()}, cut=cut)


def _value(value: Any) -> Any:
    """As in a page of rows: decimals are texts, NaN and infinities null."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, str):
        return value[:TEXT_CHARACTERS]
    return value


def _size(row: SampleRow) -> int:
    return sum(len(str(value)) + len(name) for name, value in (row.values or row.bad or {}).items())


# --- estimates ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sample:
    """Records at some places: `spanned` ones take `bytes`. They are *whole* if no place has others."""

    records: int = 0
    spanned: int = 0
    bytes: int = 0
    whole: bool = True
    groups: list[int] = field(default_factory=list)
    """The rows of each group."""


def _counted(
    spec: JobSpec, planned: PlannedDataset, files: list[SourceFile], seen: Glimpse
) -> tuple[Estimate, Estimate]:
    """The rows and the groups of the dataset, by samples at the places of *seen*."""
    sample = _widening(planned.schema, lambda schema: _sampled(_counting(spec), schema, seen)) or _Sample(
        whole=False
    )
    known = [extent.rows for extents in planned.extents for extent in extents]
    exact = sum(filter(None, known)) if None not in known else None
    if exact is None and seen.whole and sample.whole:
        exact = sample.records
    content = content_bytes(files, planned) if sample.bytes else None
    rows = estimated_rows(exact, sample.records, content, sample.spanned, sample.bytes)
    if not spec.group_by:
        return rows, Estimate(value=1, accuracy="exact", method="no keys")
    once = sample.groups.count(1)
    return rows, estimated_groups(rows, sample.records, sum(sample.groups), len(sample.groups), once)


def _counting(spec: JobSpec) -> JobSpec:
    """A spec that only counts the rows of each group."""
    taken = set(map(key_name, spec.group_by))
    name = next(name for name in (f"rows_{no}" for no in count()) if name not in taken)
    counted = AggregateSpec.model_validate({"fn": "count", "as": name})
    return spec.model_copy(
        update={
            "aggregates": (counted,),
            "compute": (),
            "having": None,
            "output": OutputSpec(),
            "limits": Limits(max_groups=2**31),
        }
    )


def _sampled(spec: JobSpec, schema: Schema, seen: Glimpse) -> _Sample:
    """The records at all places, and their groups. A place that cannot be read is left out."""
    query = bind(spec, schema)
    fold, prepared, sample = kernels.Fold(query), PreparedRows(query, seen.source), _Sample()
    used = Schema(tuple(schema[name] for name in query.columns))
    size, most = (1 << 20, _BATCHES) if seen.whole else (PLACE_BYTES, 1)
    for place in seen.places:
        try:
            found = read_place(place, seen.source, used, size=size, most=most, least=sys.maxsize)
            tables = [prepared.of(batch).table for batch in found.batches]
        except (UsageError, FatalError):
            sample.whole = False
            continue
        for table in filter(lambda table: table.num_rows, tables):
            fold.add(table)
        sample.records += found.records
        sample.spanned += found.spanned
        sample.bytes += found.bytes
        sample.whole &= found.ended
    sample.groups = pc.cast(fold.finish()["rows"], pa.int64()).to_pylist() if sample.records else []
    return sample
