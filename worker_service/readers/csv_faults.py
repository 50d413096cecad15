"""Why a block of CSV cannot be read: the first fault in it and its place, found exactly, once reading has failed."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from shared.errors import BadRow, GristmillError, InvalidEncoding, SchemaWidened
from shared.spec.types import DataType, Field, Kind, widenings
from worker_service.readers import literals
from worker_service.readers.csv_split import Block
from worker_service.readers.csv_text import OCTETS, TEXT, column, tokenize
from worker_service.readers.literals import Column
from worker_service.readers.place import CURE, Place, shown


def bad_byte(block: Block, place: Place, at: int) -> GristmillError:
    """The error for a byte that is NUL or no text in the encoding."""
    octet, byte = block.data[at], block.offset + at
    if octet:
        return InvalidEncoding(
            place.of_byte(block, at, f"byte {byte}: 0x{octet:02x} is not {place.dialect.encoding}; {CURE}")
        )
    return BadRow(place.of_byte(block, at, f"a NUL byte at byte {byte}"))


def unreadable(block: Block, place: Place, columns: Sequence[str], error: Exception) -> GristmillError:
    """The parser refused the block: a ragged record, or text of a used column that is not UTF-8."""
    found = place.records(block)
    ragged = np.flatnonzero(found.fields != len(place.names))
    if ragged.size:
        row = int(ragged[0])
        return place.bad(block, found.span(row), f"{found.fields[row]} fields instead of {len(place.names)}")
    octets = tokenize(block, place.names, dict.fromkeys(columns, OCTETS), place.options, place.dialect)
    wrong = (first_misfit(column(octets, name), _is_utf8) for name in columns)
    rows = [found_row for found_row in wrong if found_row is not None]
    if not rows:
        return place.bad(block, (0, len(block.data)), f"the parser refuses these records ({error})")
    start, stop = found.span(min(rows))
    try:
        block.data[start:stop].decode()
    except UnicodeDecodeError as wrong_text:
        start += wrong_text.start
    return bad_byte(block, place, start)


def misfits(
    block: Block, place: Place, texts: Mapping[str, Column], fields: Sequence[Field], zone: str
) -> GristmillError:
    """Of *fields*, all of whose *texts* hold misfits: the first bad row of the declared ones, or what the others have to widen to."""
    declared = [field for field in fields if field.declared]
    if declared:
        return _bad_literal(block, place, texts, declared, zone)
    wider = {f.name: narrowest(texts[f.name], widenings(f.type.kind), zone) for f in fields}
    told = (_misfit(block, place, texts[f.name], f, wider[f.name], zone) for f in fields)
    return SchemaWidened(
        f"{', '.join(told)} of {place.dialect.uri}", {name: str(kind) for name, kind in wider.items()}
    )


def _misfit(block: Block, place: Place, text: Column, field: Field, wider: Kind, zone: str) -> str:
    """The first value of *field* for which nothing narrower than *wider* will do."""
    kinds = [field.type.kind, *widenings(field.type.kind)]
    narrower = Field("", DataType(kinds[kinds.index(wider) - 1]))
    row = first_misfit(text, lambda values: literals.fits(values, narrower, zone)) or 0
    start, _ = place.records(block).span(row)
    return f"{field.name!r} has {_literal(text, row)!r} in the record at byte {block.offset + start}"


def _literal(text: Column, row: int) -> str:
    return shown(text[row].as_buffer().to_pybytes(), "utf-8")


def _bad_literal(
    block: Block, place: Place, texts: Mapping[str, Column], fields: Sequence[Field], zone: str
) -> BadRow:
    def first(field: Field) -> int:
        return first_misfit(texts[field.name], lambda text: literals.fits(text, field, zone)) or 0

    row, field = min(((first(field), field) for field in fields), key=lambda found: found[0])
    reason = f"column {field.name!r}: {_literal(texts[field.name], row)!r} is no {field.type}"
    return place.bad(block, place.records(block).span(row), reason)


def narrowest(text: Column, kinds: Sequence[Kind], zone: str) -> Kind:
    """The first of *kinds* that holds every value; `string` holds them all."""
    return next(kind for kind in kinds if literals.fits(text, Field("", DataType(kind)), zone))


def first_misfit(values: Column, accepts: Callable[[Column], bool]) -> int | None:
    """The first row that *accepts* refuses, by bisection: a range is refused exactly if it holds a refused value."""
    if accepts(values):
        return None
    low, high = 0, len(values)  # every row before low is accepted; [low, high) is refused
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if accepts(values.slice(low, middle - low)) else (low, middle)
    return low


def _is_utf8(text: Column) -> bool:
    try:
        text.cast(OCTETS).cast(TEXT)
    except pa.ArrowInvalid:
        return False
    return True
