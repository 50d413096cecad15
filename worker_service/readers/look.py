"""A bounded look at a dataset: the types of all its columns, and places spread over it to sample records at.

It takes a few files of many, and a few places of a large one, so it takes as long whatever the dataset is.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from shared.core.plan import Extent
from shared.errors import FatalError, UsageError
from shared.spec.encodings import WIDE
from shared.spec.source import SourceSpec
from shared.spec.types import Schema
from shared.spec.uses import Mention, Uses
from worker_service.readers.batch import Batch, Fault
from worker_service.readers.bytes.codecs import CODECS
from worker_service.readers.bytes.compressed import compression_of
from worker_service.readers.bytes.local import SourceFile, pread
from worker_service.readers.formats import format_of
from worker_service.readers.paths import path_texts
from worker_service.readers.plan import PlannedDataset, plan
from worker_service.readers.read import batches

PLACES = 16
"""Files of a dataset, and places of these, that are looked at."""
PLACE_BYTES = 256 * 1024
"""Bytes of records to read at a place."""
WHOLE_BYTES = 4 << 20
"""A dataset of so many bytes is read whole."""
HELD_BYTES = 32 << 20
"""Bytes of the tables of a place."""
_PACKED, _UNPACKED, _PIECE = 1 << 20, 16 << 20, 64 * 1024
"""Bytes of a compressed file, and of its data, that tell how much it expands."""
_TEXT_OF_WIDE = 0.5
"""Bytes of UTF-8 for each byte of UTF-16, as in texts of mostly ASCII."""

T = TypeVar("T")


def spread(things: Sequence[T], most: int = PLACES) -> list[T]:
    """At most *most* of them, the first included, at even distances."""
    count = min(len(things), most)
    return [things[no * len(things) // count] for no in range(count)]


@dataclass(frozen=True, slots=True)
class Glimpse:
    """All `names` of columns, each once; the `schema` of the values of those that are typed.

    `places` are extents to begin to read at, the first of them at the beginning of the dataset. They are
    *whole* if they are all of it, and few bytes. `source` reads a column as null in files that lack it.
    """

    names: tuple[str, ...]
    schema: Schema
    places: tuple[tuple[SourceFile, Extent], ...]
    source: SourceSpec
    whole: bool


def glimpse(files: list[SourceFile], planned: PlannedDataset, most: int) -> Glimpse:
    """Look at *planned*, a dataset of *files*, and type its first *most* columns.

    A column is not typed if it has a name that occurs twice, or if files disagree about its type.
    """
    source = planned.source.model_copy(update={"missing_columns": "null"})
    filled = sorted({extent.file for extent in chain.from_iterable(planned.extents)}) or [0]
    seen = [files[no] for no in spread(filled)]
    names: dict[str, None] = {}
    twice: set[str] = set()
    for file in seen:
        counts = Counter([*format_of(file, source).names(file, source)])
        twice.update(name for name, times in counts.items() if times > 1)
        names |= dict.fromkeys((*counts, *path_texts(file.uri, source)))
    typed = [name for name in names if name not in twice][:most]
    uses = Uses(tuple(Mention((), name, value=True) for name in typed))
    for chosen, wanted in ((seen, uses), (seen[:1], uses), (seen, Uses(()))):
        total = sum(file.size for file in chosen)
        whole = len(chosen) == len(filled) and total <= WHOLE_BYTES
        size = max(total // PLACES, 1 << 16) if not whole else WHOLE_BYTES
        try:
            found = plan(chosen, source, size, uses=wanted, guess=True)
        except (UsageError, FatalError):
            continue
        extents = list(chain.from_iterable(found.extents))
        places = tuple((chosen[extent.file], extent) for extent in spread(extents))
        return Glimpse(tuple(names), found.schema, places, source, whole and len(places) == len(extents))
    return Glimpse(tuple(names), Schema(()), (), source, whole=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRead:
    """The first records at a place.

    `records` counts them. `spanned` records, all but the last one, take `bytes`; both are 0 for formats whose
    records have no bytes of their own. `ended`: the place has no others.
    """

    batches: list[Batch]
    records: int
    spanned: int
    bytes: int
    ended: bool


def read_place(
    place: tuple[SourceFile, Extent],
    source: SourceSpec,
    schema: Schema,
    *,
    size: int,
    most: int,
    least: int = 0,
) -> PlaceRead:
    """Read a batch of about *size* bytes at *place*, and others while all have fewer than *least* records.

    There are at most *most* batches. Raises as `batches`.
    """
    file, extent = place
    found: list[Batch] = []
    first = last = None
    records, held, ended = 0, 0, True
    for batch in batches(file, extent, source, schema, [f.name for f in schema.fields], size):
        found.append(batch)
        records += batch.records
        if batch.records:
            first = _byte(batch, 0) if first is None else first
            last = _byte(batch, batch.records - 1)
        held += batch.table.nbytes
        if len(found) == most or records >= least or held > HELD_BYTES:
            ended = extent.rows == records
            break
    measured = first is not None and last is not None
    return PlaceRead(
        batches=found,
        records=records,
        spanned=records - 1 if measured else 0,
        bytes=last - first if first is not None and last is not None else 0,
        ended=ended,
    )


def _byte(batch: Batch, number: int) -> int | None:
    return next(batch.located([(number, Fault(""))])).byte


def content_bytes(files: Sequence[SourceFile], planned: PlannedDataset) -> float:
    """About the bytes that all records take, in the unit of `PlaceRead.bytes`."""
    source = planned.source
    wide = _TEXT_OF_WIDE if source.csv.encoding in WIDE and planned.format in {"csv", "tsv"} else 1.0
    extents = list(chain.from_iterable(planned.extents))
    packed = [file for file in (files[extent.file] for extent in extents) if _is_packed(file, source)]
    ratio = _mean([expansion(file, source) for file in spread(packed)]) if packed else 1.0
    total = 0.0
    for extent in extents:
        file = files[extent.file]
        if file.member:
            total += file.member.size
        else:
            total += (extent.end - extent.start) * (ratio if _is_packed(file, source) else 1.0)
    return total * wide


def _is_packed(file: SourceFile, source: SourceSpec) -> bool:
    return compression_of(file, source.compression) != "none"


def _mean(ratios: Sequence[float]) -> float:
    return sum(ratios) / len(ratios)


def expansion(file: SourceFile, source: SourceSpec) -> float:
    """The bytes of data for each byte of a compressed file, by its beginning."""
    compression = compression_of(file, source.compression)
    if file.member or compression not in CODECS:
        return file.member.size / max(file.size, 1) if file.member else 1.0
    codec, given, made = CODECS[compression](), 0, 0
    while made < _UNPACKED and not codec.eof:
        if codec.needs_input and given >= min(_PACKED, file.size):
            break
        piece = pread(file, given, _PIECE) if codec.needs_input else b""
        given += len(piece)
        made += len(codec.decompress(piece, _PIECE))
    return made / max(given - len(codec.unused_data or b""), 1)
