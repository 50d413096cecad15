"""Columns of records that `exact` has read.

An undeclared column has the type of its JSON values: a text that looks like a number stays text. The text of
every value, of whatever kind, is a literal of a declared type or not.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from shared.spec.source import SourceSpec
from shared.spec.types import STRING, DataType, Field, Kind
from worker_service.readers import literals
from worker_service.readers.literals import Converted
from worker_service.readers.ndjson.exact import Tag, Values

TAG_OF: dict[Kind, Tag] = {"bool": "bool", "int64": "number", "float64": "number", "decimal": "number"}
"""The JSON values that have a type without being declared."""
_KINDS: tuple[Kind, ...] = ("bool", "int64", "float64", "string")
_MAX_EXPONENT = 1000


def converted(records: Sequence[Values], field: Field, source: SourceSpec) -> Converted:
    found = [record.get(field.column) for record in records]
    if field.declared:
        decimal = field.type.kind == "decimal"
        texts = [pair and (_plain(pair[1]) if decimal and pair[0] == "number" else pair[1]) for pair in found]
        numbers = np.array([pair is not None and pair[0] == "number" for pair in found], bool)
        return literals.converted_with_numbers(pa.array(texts, pa.string()), numbers, field, source)
    if field.type == STRING:
        return Converted(pa.array([pair and pair[1] for pair in found], pa.string()))
    tag = TAG_OF.get(field.type.kind)
    others = np.array([pair is not None and pair[0] != tag for pair in found], bool)
    texts = [pair[1] if pair and pair[0] == tag else None for pair in found]
    values, misfits = literals.converted(pa.array(texts, pa.string()), field, source)
    misfits = others if misfits is None else others | misfits
    return Converted(values, misfits if misfits.any() else None)


def _plain(number: str) -> str:
    """*number* without an exponent, which JSON has and a decimal has not."""
    if "e" not in number.lower() or number[-1] not in "0123456789":
        return number
    value = Decimal(number)
    return f"{value:f}" if abs(value.adjusted()) < _MAX_EXPONENT else number


def kind_of(records: Sequence[Values], name: str, source: SourceSpec) -> Kind:
    """The narrowest kind that holds every value; `null` where there is none."""
    if not any(record.get(name) for record in records):
        return "null"
    fields = (Field(name, DataType(kind)) for kind in _KINDS)
    return next(f.type.kind for f in fields if converted(records, f, source).misfits is None)


def wider(records: Sequence[Values], field: Field, source: SourceSpec) -> Kind:
    """The first kind that *field* may widen to and that holds every value."""
    fields = (Field(field.name, DataType(kind)) for kind in field.wider)
    return next(f.type.kind for f in fields if converted(records, f, source).misfits is None)
