"""Batches, as readers yield them: each has its typed table and the bad rows found in it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from shared import errors

SHOWN = 200
"""Characters of raw text in a message."""


def shown(raw: bytes, encoding: str) -> str:
    """The beginning of *raw*, with bytes that are no text escaped."""
    text = raw[: 4 * SHOWN].decode(encoding, "backslashreplace")
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


class Fault(NamedTuple):
    """What is wrong with a row.

    `column` is a name, or a number from 1 beyond the known names, or None where the whole record is at fault.
    `value` is the column's text. `unreadable` text is no text in the file's encoding.
    """

    reason: str
    column: str | int | None = None
    value: str | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A record that does not fit the schema. The records around it are sound, so reading can go on.

    `byte` is where the record begins, in a file that has bytes of records. `row` is its number from 1, in one
    that has numbered rows. `column` is a name, or a number from 1 beyond the known names, or None where the
    whole record is bad. `raw` is the beginning of the record's text. `unreadable` text is no text in the
    file's encoding. `located` names the file and the position for a message. It may read the open file from
    its beginning, to count lines.
    """

    uri: str
    reason: str
    byte: int | None = None
    row: int | None = None
    column: str | int | None = None
    raw: str | None = None
    unreadable: bool = False
    located: Callable[[], str] = field(compare=False, repr=False)

    def error(self) -> errors.GristmillError:
        """The error for a job that allows no bad row: InvalidEncoding if it is unreadable, else BadRow."""
        column = "" if self.column is None else f"column {self.column!r}: "
        record = "" if self.raw is None else f"; the record is {self.raw!r}"
        kind = errors.InvalidEncoding if self.unreadable else errors.BadRow
        return kind(f"{self.located()}: {column}{self.reason}{record}")


@dataclass(frozen=True, slots=True)
class Batch:
    """Whole records in file order.

    `table` holds the used columns, typed; without used columns, one column of bools named "", so that rows
    can be counted. `records` counts the records, bad ones too. If `bad_rows` is not empty, it holds the first
    bad row of the batch, and `table` has no rows. A reader does not yet separate good rows from bad ones.
    """

    table: pa.Table
    records: int
    bad_rows: tuple[BadRow, ...] = ()
