"""Before an aggregation: the columns that a query makes of each batch, and the rows that it picks."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from shared.errors import Detail, InvalidSpec
from shared.spec.expressions import ExpressionError, Typed
from shared.spec.faults import refuse
from shared.spec.query import Made, Query
from worker_service.arrow import Array, Ints, Mask, as_array, true
from worker_service.kernels.buckets import OUTSIDE, bucketed
from worker_service.kernels.engine.take import pick
from worker_service.kernels.expressions import ParseText, evaluate, probe


class RowError(NamedTuple):
    """A row of a batch that fits the schema, and has no value of *made*."""

    made: Made
    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows to be folded, in file order, with the columns that keys and aggregates read.

    Each other row of the batch is one of *filtered*, or is *bad*. *bad* is a mask of the batch's rows, None
    if no row is bad. *error* gives the first error of a bad row. *bad_by* takes names of columns, and gives
    the bad rows whose first error is of one of them, ascending.
    """

    table: pa.Table
    filtered: int = 0
    bad: Mask | None = None
    error: Callable[[int], RowError] = field(repr=False, kw_only=True)
    bad_by: Callable[[Collection[str]], Ints] = field(repr=False, kw_only=True)


def no_error(row: int) -> RowError:
    raise IndexError(row)


def no_rows(_names: Collection[str]) -> Ints:
    return np.empty(0, np.int64)


def prepare(table: pa.Table, query: Query, parse: ParseText) -> Prepared:
    """`derive`, `where`, and then time buckets and the conditions of aggregates on the rows that are left.

    A row is filtered where `where` is not true. *parse* reads texts as values of a type.
    """
    if not query.of_batches:
        return Prepared(table, error=no_error, bad_by=no_rows)
    rows = _Rows({name: as_array(table[name]) for name in table.column_names if name}, table.num_rows, parse)
    for made in query.derived:
        rows.make(made)
    filtered = rows.pick(query.where) if query.where is not None else 0
    rows.drop({*query.grouped, *(column for made in query.made for column in made.columns)})
    for made in query.made:
        rows.make(made)
    rows.drop(query.grouped)
    columns = {name: rows.columns[name] for name in query.grouped} or {"": pa.nulls(rows.count, pa.bool_())}
    return Prepared(pa.table(columns), filtered, rows.failed, error=rows.error, bad_by=rows.bad_by)


def check_patterns(query: Query, parse: ParseText) -> None:
    """Raise InvalidSpec for every expression that is computed for no row: RE2 refuses a pattern in it."""
    refuse(InvalidSpec, _refused(query, parse))


def _refused(query: Query, parse: ParseText) -> Iterator[Detail]:
    for made in (*query.of_batches, *query.computed, *([query.having] if query.having else ())):
        try:
            if isinstance(made.by, Typed):
                probe(made.by, parse)
        except ExpressionError as error:
            yield Detail(pointer=made.at, detail=str(error))


class _Rows:
    """The rows of a batch that are left, and those among them that are to be dropped."""

    def __init__(self, columns: dict[str, Array], count: int, parse: ParseText) -> None:
        self.columns, self.count = columns, count
        self.failed: Mask | None = None
        self._parse, self._all = parse, count
        self._drops: list[Mask] = []
        """Where rows were kept, of those that were left before."""
        self._bad: Mask | None = None
        self._unwanted: Mask | None = None
        self._notes: list[tuple[Made, Ints, Callable[[int], str]]] = []

    def make(self, made: Made) -> None:
        """Add a column. A row in which it has an error is bad."""
        if isinstance(made.by, Typed):
            found = evaluate(made.by, self.columns, self.count, self._parse)
            self.columns[made.name] = found.values
            self._note(made, found.bad, found.reason)
        else:
            values, outside = bucketed(self.columns[made.by.column], made.by)
            self.columns[made.name] = values
            self._note(made, outside, lambda _: OUTSIDE)

    def pick(self, where: Made) -> int:
        """The rows in which *where* is not true are unwanted. Returns how many there are, bad ones aside."""
        self.make(where)
        self._unwanted = ~true(self.columns.pop(where.name))
        unwanted = self._unwanted if self._bad is None else self._unwanted & ~self._bad
        return int(np.count_nonzero(unwanted))

    def drop(self, names: Collection[str]) -> None:
        """Drop the bad and the unwanted rows, and all columns but those of *names*."""
        self.columns = {name: column for name, column in self.columns.items() if name in names}
        masks = [mask for mask in (self._bad, self._unwanted) if mask is not None]
        if not masks:
            return
        self._bad = self._unwanted = None
        kept = ~(masks[0] if len(masks) == 1 else masks[0] | masks[1])
        count = int(np.count_nonzero(kept))
        if count == self.count:
            return
        self.columns = {name: pick(column, kept, count) for name, column in self.columns.items()}
        self.count = count
        self._drops.append(kept)

    def _positions(self, rows: Ints) -> Ints:
        """Where *rows* lie in the batch."""
        for kept in reversed(self._drops):
            rows = np.flatnonzero(kept)[rows]
        return rows

    def error(self, row: int) -> RowError:
        """The first error of a row, counted as in the batch."""
        for made, at, reason in self._notes:
            now = int(np.searchsorted(at, row))
            if now < len(at) and at[now] == row:
                return RowError(made, reason(now))
        return no_error(row)

    def bad_by(self, names: Collection[str]) -> Ints:
        """The rows whose first error is in a column of *names*, counted as in the batch; ascending."""
        seen, found = np.zeros(self._all, np.bool_), np.zeros(self._all, np.bool_)
        for made, at, _ in self._notes:
            found[at] |= ~seen[at] & (made.name in names)
            seen[at] = True
        return np.flatnonzero(found)

    def _note(self, made: Made, bad: Mask | None, reason: Callable[[int], str]) -> None:
        if bad is None:
            return
        rows = np.flatnonzero(bad)
        at = self._positions(rows)
        self._notes.append((made, at, lambda number: reason(int(rows[number]))))
        self._bad = bad if self._bad is None else self._bad | bad
        if self.failed is None:
            self.failed = np.zeros(self._all, np.bool_)
        self.failed[at] = True
