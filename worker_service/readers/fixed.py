"""Columns that have one value in a whole file: those of its path, and null for those that it lacks."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import SchemaConflict
from shared.spec.names import quote
from shared.spec.source import SourceSpec
from shared.spec.types import DataType, Field, Schema
from shared.spec.uses import Uses
from worker_service.arrow import arrow_type
from worker_service.readers import literals
from worker_service.readers.batch import Batch
from worker_service.readers.inference import kind_of, undeclared
from worker_service.readers.literals import Column
from worker_service.readers.paths import path_texts
from worker_service.readers.schema import settled

Fixed = dict[str, pa.Scalar]
"""By the name of the field."""


def path_schema(uris: Sequence[str], source: SourceSpec, uses: Uses) -> Schema:
    """The columns in use that come from the paths of the files. Raises SchemaConflict for a misfit."""
    texts = [path_texts(uri, source) for uri in uris]
    columns = [name for name in uses.columns if any(name in found for found in texts)]
    spelled = {name: pa.array([found.get(name) for found in texts], pa.string()) for name in columns}
    kinds = {
        use: DataType(kind_of(spelled[use.column], use, source)) for use in undeclared(columns, source, uses)
    }
    schema = settled(columns, source.declared, kinds)
    for field in schema.fields:
        for uri, text in zip(uris, spelled[field.column], strict=True):
            _value(text.as_py(), field, source, uri)
    return schema


def fixed_values(uri: str, names: Collection[str], source: SourceSpec, fields: Sequence[Field]) -> Fixed:
    """The values of those *fields* that the file's path has, and of those that are not among its *names*."""
    texts = path_texts(uri, source)
    return {
        field.name: _value(texts.get(field.column), field, source, uri)
        for field in fields
        if field.column in texts or field.column not in names
    }


def _value(text: str | None, field: Field, source: SourceSpec, uri: str) -> pa.Scalar:
    spelled = pa.array([text], pa.string())
    found = literals.converted(spelled, field, source)
    if found.misfits is not None:
        told = f"the path gives {quote(field.column)} the value {quote(text or '')}, which is no {field.type}"
        cure = literals.cure(spelled, field, source) or "change its entry of source.types, or the folder"
        raise SchemaConflict(f"{uri}: {told}; {cure}")
    return found.values[0]


def with_fixed(batch: Batch, fixed: Fixed, columns: Sequence[str], uri: str) -> Batch:
    """*batch* with the *fixed* values as columns, in the order of *columns*.

    Raises SchemaConflict where a file holds a column that its path has, too, with another value.
    """
    table = batch.table
    for name in set(fixed).intersection(table.column_names):
        _check_equal(table.column(name), fixed[name], name, uri)
    made = {name: _repeated(value, table.num_rows) for name, value in fixed.items()}
    names = columns or table.column_names
    return replace(batch, table=pa.table({n: made[n] if n in made else table.column(n) for n in names}))


def _check_equal(found: pa.ChunkedArray, value: pa.Scalar, name: str, uri: str) -> None:
    plain = found.cast(value.type)
    same = pc.is_null(plain) if not value.is_valid else pc.fill_null(pc.equal(plain, value), False)
    if (row := pc.index(same, False).as_py()) >= 0:
        column, here = quote(Field(name, DataType("null")).column), plain[row].as_py()
        told = f"column {column} holds {here!s} in the file, and the path says {value.as_py()!s}"
        raise SchemaConflict(f"{uri}: {told}; move the file, or leave out source.partitions")


def _repeated(value: pa.Scalar, rows: int) -> Column:
    if value.type == arrow_type(DataType("string")) and value.is_valid:
        zeros = pa.array(np.zeros(rows, np.int32))
        return pa.DictionaryArray.from_arrays(zeros, pa.array([value.as_py()], value.type))
    return pa.repeat(value, rows)
