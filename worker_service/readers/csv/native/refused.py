"""Decides about the rows that the native library refuses, by the functions of the plain path.

Most of them have a text that is no literal. Where a text is not UTF-8 or has NUL, the record is bad, and the
plain path sifts it alone to tell the fault.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from shared.spec.source import SourceSpec
from worker_service.arrow import Array, Ints
from worker_service.native import Library
from worker_service.readers.batch import SHOWN, Fault
from worker_service.readers.csv.blocks import Block
from worker_service.readers.csv.file import CsvFile
from worker_service.readers.csv.native.windows import Decided, Odd
from worker_service.readers.csv.sift import judged, misfit, sifted
from worker_service.readers.csv.tokenizer import BINARY, TEXT
from worker_service.readers.fields import Column
from worker_service.readers.targets import Target

_REMEMBERED = 1000
"""Texts of a column that are known to be misfits: most files repeat them."""


@dataclass(frozen=True, slots=True)
class Native:
    """How the library reads `columns` of a file.

    `misfits` has for each column some texts that are no literals, and the fault of each.
    """

    file: CsvFile
    columns: list[Column]
    source: SourceSpec
    library: Library
    misfits: Sequence[dict[bytes, Callable[[], Fault]]]

    def misfit(self, column: int, text: bytes) -> Callable[[], Fault]:
        """The fault of *text* in a column by its place."""
        whole = partial(pa.array, [text], TEXT)
        return cache(partial(misfit, text, self.columns[column].field, self.source, whole))


def known_misfits(
    source: SourceSpec, columns: Sequence[Column]
) -> Sequence[dict[bytes, Callable[[], Fault]]]:
    """Those of earlier blocks that this process has read, for each of *columns*."""
    return _known_misfits(source.model_dump_json(), *columns)


@lru_cache(maxsize=4)
def _known_misfits(_: str, *columns: Column) -> Sequence[dict[bytes, Callable[[], Fault]]]:
    return [{} for _ in columns]


class _Judged(NamedTuple):
    """Texts of a column: the faults of some, and the places of the others among *values*."""

    faults: dict[bytes, Callable[[], Fault]]
    places: dict[bytes, int]
    values: Array


class Refusals:
    """Decides about the refused rows of *block*. `widens`: a value may need a wider type."""

    def __init__(self, native: Native, block: Block, targets: Sequence[Target]) -> None:
        self._native, self._block, self._targets = native, block, targets
        self._faults: dict[int, Callable[[], Fault]] = {}
        self.widens = False

    def fault(self, record: int, column: int, text: bytes) -> Fault:
        """That of a bad row: *column* is the first one that refuses it, *text* its text there."""
        known = self._faults.get(record) or self._native.misfits[column].get(text)
        return (known or self._native.misfit(column, text))()

    def decide(self, asked: Odd) -> Decided | None:
        """See `windows.Decide`."""
        texts, unreadable, quote = dict[int, list[_Text]](), set[int](), self._native.file.dialect.quote
        for record, start, stop, _, row, column, first, last, quoted in asked.tolist():
            raw = self._block.data[first:last]
            if not _is_text(raw):
                unreadable.add(row)
                self._faults[record] = partial(self._sifted, start, stop)
            raw = raw.replace(2 * quote, quote) if quoted else raw
            texts.setdefault(column, []).append(_Text(row, record, raw))
        bad, good = set(unreadable), list[tuple[int, Ints, Array]]()
        for column in sorted(texts):
            some = [text for text in texts[column] if text.row not in unreadable]
            found = self._judged(column, [text.raw for text in some])
            if found is None:
                self.widens = True
                return None
            for text in some:
                if text.raw in found.faults:
                    bad.add(text.row)
                    self._faults.setdefault(text.record, found.faults[text.raw])
            right = [(text.row, found.places[text.raw]) for text in some if text.raw in found.places]
            if right:
                rows, places = np.array(right, np.int64).T
                good.append((column, rows, found.values.take(pa.array(places))))
        return Decided(sorted(bad), good)

    def _judged(self, column: int, texts: list[bytes]) -> _Judged | None:
        """None: some text needs a wider type."""
        known = self._native.misfits[column]
        faults = {text: known[text] for text in texts if text in known}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if not new:
            return _Judged(faults, {}, pa.array([]))
        read = judged(
            pa.array(new, TEXT), self._native.columns[column].field, self._block, self._native.source
        )
        if read.wider is not None:
            return None
        wrong = np.zeros(len(new), np.bool_) if read.wrong is None else read.wrong
        places = {text: at for at, text in enumerate(new) if not wrong[at]}
        found = {text: self._native.misfit(column, text) for at, text in enumerate(new) if wrong[at]}
        if len(known) > _REMEMBERED:
            known.clear()
        known |= {text: fault for text, fault in found.items() if len(text) <= SHOWN}
        self._targets[column].learn_misfits(found)
        return _Judged(faults | found, places, read.values)

    def _sifted(self, start: int, stop: int) -> Fault:
        """The fault of one record alone, which has bytes that are no text."""
        block, masked = self._block, self._block.masked
        data = block.data[start:stop]
        alone = replace(
            block,
            offset=block.offset + start,
            data=data,
            masked=data if masked is block.data else masked[start:stop],
            size=len(data),
        )
        fields = [column.field for column in self._native.columns]
        types = {field.column: TEXT if field.type.kind == "string" else BINARY for field in fields}
        return sifted(alone, self._native.file, fields, types, self._native.source).bad.fault(0)


class _Text(NamedTuple):
    row: int
    record: int
    raw: bytes


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in raw
