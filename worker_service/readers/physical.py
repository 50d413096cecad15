"""The columns of files that declare their types, and as which types of Gristmill they are read.

The fields of a struct are columns of their own, with dotted names: `user.id`. Bytes without a mark that they
are text can be read where the spec declares a type. A time of day is read as text.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from shared.core.plan import Warned
from shared.errors import InvalidSpec, NotSupported, SchemaConflict, TypeMismatch
from shared.spec.column_text import ColumnText
from shared.spec.faults import pointer
from shared.spec.names import listed, quote
from shared.spec.source import SourceSpec
from shared.spec.types import NULL, STRING, DataType, Kind, Schema
from shared.spec.uses import Uses
from worker_service.readers.inference import Use
from worker_service.readers.schema import columns_in_files, settled, wider

Path = tuple[str, ...]
Found = dict[str, tuple[pa.DataType, ...]]
"""The columns of a file by name; one that occurs several times has several types."""

_IS = {
    "null": pa.types.is_null,
    "bool": pa.types.is_boolean,
    "int64": pa.types.is_integer,
    "float64": pa.types.is_floating,
    "string": lambda t: (
        pa.types.is_string(t)
        or pa.types.is_large_string(t)
        or pa.types.is_string_view(t)
        or pa.types.is_time(t)
    ),
    "date": pa.types.is_date,
}

READ_AS: dict[Kind, frozenset[Kind]] = {
    "null": frozenset({"bool", "int64", "float64", "decimal", "string", "date", "timestamp", "timestamptz"}),
    "bool": frozenset({"bool", "int64", "string"}),
    "int64": frozenset({"int64", "float64", "decimal", "string"}),
    "float64": frozenset({"float64", "int64", "decimal", "string"}),
    "decimal": frozenset({"decimal", "int64", "float64", "string"}),
    "string": frozenset(
        {"bool", "int64", "float64", "decimal", "string", "date", "timestamp", "timestamptz"}
    ),
    "date": frozenset({"date", "timestamp", "timestamptz", "string"}),
    "timestamp": frozenset({"timestamp", "date", "timestamptz", "string"}),
    "timestamptz": frozenset({"timestamptz", "string"}),
}
"""The types that the spec may declare, by that of the file: a value that would change is a bad row."""


def is_bytes(arrow: pa.DataType) -> bool:
    """Whether values are bytes that may be text, or not."""
    plain = arrow.value_type if pa.types.is_dictionary(arrow) else arrow
    return bool(
        pa.types.is_binary(plain)
        or pa.types.is_large_binary(plain)
        or pa.types.is_fixed_size_binary(plain)
        or pa.types.is_binary_view(plain)
    )


def is_text(arrow: pa.DataType) -> bool:
    """Whether values are texts of any length, or bytes that may be."""
    if pa.types.is_fixed_size_binary(arrow) or pa.types.is_time(arrow):
        return False
    return is_bytes(arrow) or type_of(arrow) == STRING


def type_of(arrow: pa.DataType) -> DataType | None:
    """The column type of an Arrow type; None for those that Gristmill does not read."""
    if pa.types.is_dictionary(arrow):
        return type_of(arrow.value_type)
    if pa.types.is_decimal(arrow):
        fits = arrow.precision <= 38 and 0 <= arrow.scale <= arrow.precision
        return DataType("decimal", arrow.precision, arrow.scale) if fits else None
    if pa.types.is_timestamp(arrow):
        return DataType("timestamptz" if arrow.tz else "timestamp")
    return next((DataType(kind) for kind, check in _IS.items() if check(arrow)), None)  # type: ignore[arg-type] # the keys are kinds


def columns_in(schema: pa.Schema) -> Found:
    """Every column, in file order. A struct is there beside its fields: an error can name its type."""
    found: Found = {}
    for path, arrow in paths_in(schema):
        name = ".".join(path)
        found[name] = (*found.get(name, ()), arrow)
    return found


def paths_in(schema: pa.Schema) -> Iterator[tuple[Path, pa.DataType]]:
    """Every field of *schema*, each struct before its own fields."""
    waiting: list[tuple[Path, pa.DataType]] = [
        ((field.name,), field.type) for field in reversed(list(schema))
    ]
    while waiting:
        path, arrow = waiting.pop()
        yield path, arrow
        if pa.types.is_struct(arrow):
            waiting += [((*path, field.name), field.type) for field in reversed(list(arrow))]


def usable(found: Found, source: SourceSpec) -> list[str]:
    """The names of the columns that can be read."""
    return [
        name
        for name, types in found.items()
        if len(types) == 1 and (type_of(types[0]) or (is_bytes(types[0]) and name in source.types))
    ]


def schema_in(
    files: Sequence[tuple[str, Found]], source: SourceSpec, uses: Uses
) -> tuple[Schema, tuple[Warned, ...]]:
    """The schema of the columns in use of *files*, each given with its URI, and the warnings about them.

    Raises the errors of `columns_in_files` and `column_type`, SchemaConflict for types without a common one,
    and InvalidSpec for options of texts where no file has texts.
    """
    alike: dict[
        tuple[object, ...], Found
    ] = {}  # one object for all: columns of many wide files would fill the memory
    shared = [(uri, alike.setdefault(tuple(found.items()), found)) for uri, found in files]
    columns, lacking = columns_in_files(shared, source, uses)
    joined = {name: _joined(name, shared, source) for name in columns}
    for name in columns:
        _check_writing(name, shared, source)
    types = {Use(name, key=False): kind for name, kind in joined.items() if name not in source.types}
    return settled(columns, source.declared, types), lacking


def _joined(name: str, files: Sequence[tuple[str, Found]], source: SourceSpec) -> DataType:
    """The type of a column over all files that have it."""
    so_far = NULL
    for uri, found in files:
        kind = column_type(uri, name, found[name], source) if name in found else NULL
        both = wider(so_far, kind)
        if both is None and name not in source.types:
            told = f"column {quote(name)} is {kind} in {uri} and {so_far} before it"
            raise SchemaConflict(f"{told}; declare it in source.types")
        so_far = both or kind
    return so_far


def _check_writing(name: str, files: Sequence[tuple[str, Found]], source: SourceSpec) -> None:
    """Raise InvalidSpec if the spec says how a column's texts are written, and no file has it as text."""
    given = source.types.get(name)
    if not isinstance(given, ColumnText):
        return
    idle = [key for key in given.model_dump() if key != "type"]
    kinds = {arrow: uri for uri, found in files for arrow in found.get(name, ())}
    if idle and not any(is_bytes(arrow) or type_of(arrow) in (STRING, NULL) for arrow in kinds):
        arrow, uri = next(iter(kinds.items()))
        told = f"{listed(idle)} say how text is written, and column {quote(name)} of {uri} is {arrow}"
        where = pointer("source", "types", name)
        raise InvalidSpec(f"{where}: {told}: leave them out", pointer=where)


def column_type(uri: str, name: str, found: Sequence[pa.DataType], source: SourceSpec) -> DataType:
    """The type of a column in use, whose types in the file are *found*.

    Raises SchemaConflict for a name that occurs several times, and NotSupported for a type that is not read.
    Raises TypeMismatch for one that can never be as the spec declares.
    """
    column = f"{uri}: column {quote(name)}"
    if len(found) > 1:
        told = f"{len(found)} columns of the name ({', '.join(map(str, found))})"
        raise SchemaConflict(f"{column} is not one: there are {told}; write the file with other names")
    [arrow] = found
    declared = source.declared.get(name)
    if is_bytes(arrow) and declared is not None:
        return STRING
    kind = type_of(arrow)
    if kind is None:
        raise NotSupported(f"{column} has the type {arrow}, which cannot be read; {_cure(name, arrow)}")
    if declared is not None and declared.kind not in READ_AS[kind.kind]:
        may = ", ".join(sorted(READ_AS[kind.kind]))
        told = f"is {arrow} and never {declared}; source.types may say {may}"
        raise TypeMismatch(f"{column} {told}", pointer=pointer("source", "types", name))
    return kind


def _decimal_cure(precision: int, scale: int) -> str:
    """The type with a scale from 0 to the precision that holds the same values."""
    scale, precision = max(scale, 0), max(precision, precision - scale, scale)
    if precision <= 38:
        return f"write it as decimal({precision},{scale}), which holds the same values"
    return "write it with at most 38 digits and a scale of 0 or more, or as text"


def _cure(name: str, arrow: pa.DataType) -> str:
    if is_bytes(arrow):
        return f'if the bytes are text in UTF-8, declare it in source.types: {{{quote(name)}: "string"}}'
    if pa.types.is_struct(arrow):
        fields = ", ".join(quote(f"{name}.{field.name}") for field in list(arrow)[:5])
        return f"use its fields, such as {fields}"
    if pa.types.is_decimal(arrow):
        return _decimal_cure(arrow.precision, arrow.scale)
    return "write it as numbers or text"
