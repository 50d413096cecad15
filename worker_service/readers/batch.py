"""Batches, as readers yield them: each has its typed table and the bad rows found in it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from shared import errors
from shared.errors import Detail
from worker_service.arrow import Ints, Mask, as_array

SHOWN = 200
"""Characters of raw text in a message."""
RECORD_BYTES = 4096
"""Bytes of a bad row's text that are kept."""


def shown(raw: bytes, encoding: str) -> str:
    """The beginning of *raw*, with bytes that are no text, and NUL, escaped."""
    text = readable(raw[: 4 * SHOWN], encoding)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def readable(raw: bytes, encoding: str) -> str:
    """*raw* as text that Postgres can store: bytes that are no text, and NUL, are escaped."""
    return raw.decode(encoding, "backslashreplace").replace("\0", r"\x00")


class Fault(NamedTuple):
    """Why a row is bad.

    `column` is a name, or a number from 1 beyond the known names, or None where the whole record is at fault.
    `value` is the column's text. `unreadable` text is no text in the file's encoding. `cure` names the
    change of the spec that would help, or is empty: it takes a look at the whole batch.
    """

    reason: str
    column: str | int | None = None
    value: str | None = None
    unreadable: bool = False
    cure: Callable[[], str] = str


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A record that does not fit the schema. The records around it are sound, so reading can go on.

    `byte` is where the record begins, in a file that has bytes of records; *offsets* says which bytes these
    are, if not the file's. `row` is its number from 1, in one that has numbered rows. `record` is its text,
    or with `truncated` the first RECORD_BYTES of it. `line` is the number of its line in the file, from 1:
    this reads the file from the beginning. `lines_before` are the lines of the batch before it.
    """

    uri: str
    fault: Fault
    byte: int | None = None
    row: int | None = None
    record: str | None = None
    truncated: bool = False
    offsets: str = ""
    line: Callable[[], int] | None = None
    lines_before: Callable[[], int] | None = None

    def detail(self) -> Detail:
        """The bad row for a program; reads the file to count its lines."""
        told: Detail = {"detail": self.fault.reason, "uri": self.uri}
        if self.byte is not None:
            told["byte"] = self.byte
        if self.line is not None:
            told["line"] = self.line()
        if self.row is not None:
            told["row"] = self.row
        if self.fault.column is not None:
            told["column"] = str(self.fault.column)
        if self.fault.value is not None:
            told["value"] = self.fault.value
        return told

    def error(self, otherwise: str = "") -> errors.GristmillError:
        """The error for a job that allows no bad row: InvalidEncoding if it is unreadable, else BadRow.

        *otherwise* is the cure for a fault that has none of its own.
        """
        kind = errors.InvalidEncoding if self.fault.unreadable else errors.BadRow
        detail = self.detail()
        place = f", row {self.row}" if self.byte is None else f": byte {self.byte}{self.offsets}"
        line = f", line {detail['line']}" if "line" in detail else ""
        column = "" if self.fault.column is None else f"column {self.fault.column!r}: "
        text = self.record if self.record is None or len(self.record) <= SHOWN else self.record[:SHOWN] + "…"
        record = "" if text is None else f"; the record is {text!r}"
        cure = self.fault.cure() or otherwise
        advice = f"; {cure}" if cure else ""
        return kind(f"{self.uri}{place}{line}: {column}{self.fault.reason}{record}{advice}", errors=[detail])


Located = Callable[[Iterable[tuple[int, Fault]]], Iterator[BadRow]]
"""From records of a batch, by number from 0 and ascending, each with its fault, to bad rows."""


def numbered(uri: str, first: int) -> Located:
    """For files whose rows are numbered; record 0 of the batch is row *first*, from 1."""
    return lambda found: (BadRow(uri=uri, row=first + number, fault=fault) for number, fault in found)


@dataclass(frozen=True, slots=True)
class Faults:
    """The records that are bad, by number and ascending, and the fault of each."""

    rows: Ints
    fault: Callable[[int], Fault]

    def __contains__(self, number: int) -> bool:
        at = int(np.searchsorted(self.rows, number))
        return at < self.rows.size and int(self.rows[at]) == number

    def __or__(self, other: "Faults") -> "Faults":
        """The faults of both, which have no record in common."""
        return Faults(
            np.sort(np.concatenate([self.rows, other.rows])),
            lambda number: (self if number in self else other).fault(number),
        )


NO_FAULTS = Faults(np.empty(0, np.int64), lambda number: Fault(f"record {number}"))


def passing_over(gone: Ints, left: Ints) -> Ints:
    """The rows that the rows *left* were, before those in *gone* were taken out; ascending both."""
    return left + np.searchsorted(gone - np.arange(gone.size), left, side="right")


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole records in file order.

    `table` holds the used columns of the good records, typed; without used columns, one column of bools named
    "", so that rows can be counted. `records` counts the records, bad ones too. `numbers` takes rows of
    `table`, ascending, and gives the numbers of their records. `lines` counts line feeds, `lines_before`
    those between the beginning of the file and its first batch. `provisional` are the numbers of those bad
    records that a wider type of a column may make good, ascending.
    """

    table: pa.Table
    records: int
    located: Located
    bad: Faults = NO_FAULTS
    numbers: Callable[[Ints], Ints] = np.asarray
    lines: Callable[[], int] = int
    lines_before: Callable[[], int] = int
    provisional: Ints = field(default_factory=lambda: NO_FAULTS.rows)

    def without(self, wrong: Mask, fault: Callable[[int], Fault]) -> "Batch":
        """The batch in which the *wrong* rows of the table are bad rows; *fault* takes a row of the table."""
        rows = np.flatnonzero(wrong)
        if not rows.size:
            return self
        bad, good = self.numbers(rows), pa.array(~wrong)
        # Column by column: the filter of a table takes thrice as long.
        left = {name: as_array(self.table[name]).filter(good) for name in self.table.column_names}
        found = Faults(bad, lambda number: fault(int(rows[np.searchsorted(bad, number)])))
        return replace(
            self,
            table=pa.table(left),
            bad=self.bad | found,
            numbers=lambda kept: self.numbers(passing_over(rows, kept)),
        )

    @property
    def final(self) -> Ints:
        """The numbers of the bad records that no wider type makes good."""
        return np.setdiff1d(self.bad.rows, self.provisional, assume_unique=True)

    def bad_rows(self, numbers: Ints | None = None) -> Iterator[BadRow]:
        """Those of the records with these *numbers*, or all; in file order, each made when asked for."""
        asked = self.bad.rows if numbers is None else numbers
        return self.located((number, self.bad.fault(number)) for number in asked.tolist())
