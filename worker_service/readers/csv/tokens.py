"""A block that is split into fields: columns of raw text, and the records that cannot be rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from worker_service.readers.batch import passing_over
from worker_service.readers.csv.masked import Positions


class Odd(NamedTuple):
    """A record that cannot be a row; `number` counts the records of the block from 0.

    `fields` is how many it has, where the header has another number. The text of `column`, which is the
    column's number from 0, holds NUL, or bytes that are no text in the encoding.
    """

    number: int
    fields: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """The columns of all records of a block but the *odd* ones, which are in the order of their numbers.

    `padded` has the number of fields of each record that was too short and has got nulls.
    """

    table: pa.Table
    odd: tuple[Odd, ...] = ()
    padded: tuple[int, ...] = ()

    @property
    def ragged(self) -> list[int]:
        """How many fields each record has that has not as many as the header; see `count_records`."""
        return [*self.padded, *(record.fields for record in self.odd if record.fields)]

    def numbers(self, rows: Positions) -> Positions:
        """The numbers in the block of the records that are the *rows* of the table."""
        odd = np.array([record.number for record in self.odd], np.int64)
        return passing_over(odd, rows)

    def without(self, wrong: Mapping[int, Positions]) -> "Tokens":
        """The same without the rows that *wrong* has for a column, by its number; the first column counts."""
        columns = {row: column for column in sorted(wrong, reverse=True) for row in wrong[column].tolist()}
        if not columns:
            return self
        rows = np.array(sorted(columns), np.int64)
        found = [
            Odd(int(no), column=columns[int(row)]) for no, row in zip(self.numbers(rows), rows, strict=True)
        ]
        keep = np.ones(self.table.num_rows, np.bool_)
        keep[rows] = False
        return Tokens(self.table.filter(pa.array(keep)), tuple(sorted([*self.odd, *found])))
