"""Columns of records that `exact` has read.

An undeclared column has the type of its JSON values: a text that looks like a number stays text. The text of
every value, of whatever kind, is a literal of a declared type or not.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.source import SourceSpec
from shared.spec.types import STRING, DataType, Field, Kind
from worker_service.arrow import Array, Mask
from worker_service.readers import literals
from worker_service.readers.literals import Converted
from worker_service.readers.ndjson.exact import Tag, Values

TAGS: tuple[Tag, ...] = get_args(Tag)
TAG_OF: dict[Kind, Tag] = {"bool": "bool", "int64": "number", "float64": "number", "decimal": "number"}
"""The JSON values that have a type without being declared."""
_KINDS: tuple[Kind, ...] = ("bool", "int64", "float64", "string")
_MAX_EXPONENT = 1000


class Texts(NamedTuple):
    """A column of lines: the text of each value, or null, and by tag which values have it."""

    text: Array
    tagged: Mapping[Tag, Mask]


def texts_in(records: Sequence[Values], column: str) -> Texts:
    found = [record.get(column) for record in records]
    tags = np.array([pair[0] if pair else "" for pair in found], "U6")
    text = pa.array([pair and pair[1] for pair in found], pa.string())
    return Texts(text, {tag: tags == tag for tag in TAGS})


def converted(records: Sequence[Values], field: Field, source: SourceSpec) -> Converted:
    return converted_texts(texts_in(records, field.column), field, source)


def converted_texts(found: Texts, field: Field, source: SourceSpec) -> Converted:
    text, numbers = found.text, found.tagged["number"]
    if field.declared:
        if field.type.kind == "decimal":
            text = _without_exponents(text, numbers)
        return literals.converted_with_numbers(text, numbers, field, source)
    if field.type == STRING:
        return Converted(text)
    own = found.tagged[TAG_OF[field.type.kind]]
    others = text.is_valid().to_numpy(zero_copy_only=False) & ~own
    text = pc.if_else(pa.array(own), text, pa.scalar(None, pa.string()))
    values, misfits = literals.converted(text, field, source)
    misfits = others if misfits is None else others | misfits
    return Converted(values, misfits if misfits.any() else None)


def _without_exponents(text: Array, numbers: Mask) -> Array:
    rows = pc.and_(pa.array(numbers), pc.fill_null(pc.match_substring_regex(text, "[eE]"), False))
    if not pc.any(rows).as_py():
        return text
    plain = [_plain(number) for number in text.filter(rows).to_pylist()]
    return pc.replace_with_mask(text, rows, pa.array(plain, pa.string()))


def _plain(number: str) -> str:
    """*number* without an exponent, which JSON has and a decimal has not."""
    if "e" not in number.lower() or number[-1] not in "0123456789":
        return number
    value = Decimal(number)
    return f"{value:f}" if abs(value.adjusted()) < _MAX_EXPONENT else number


def kind_of(texts: Texts, source: SourceSpec) -> Kind:
    """The narrowest kind that holds every value; `null` where there is none."""
    if texts.text.null_count == len(texts.text):
        return "null"
    fields = (Field("", DataType(kind)) for kind in _KINDS)
    return next(f.type.kind for f in fields if converted_texts(texts, f, source).misfits is None)


def wider(records: Sequence[Values], field: Field, source: SourceSpec) -> Kind:
    """The first kind that *field* may widen to and that holds every value."""
    fields = (Field(field.name, DataType(kind)) for kind in field.wider)
    return next(f.type.kind for f in fields if converted(records, f, source).misfits is None)
