"""`compute` and `having`: columns made of the result's other columns, and the groups that stay."""

import contextlib
from collections.abc import Collection

import numpy as np
import pyarrow as pa

from shared.errors import ComputeFailed
from shared.spec.expressions import Typed
from shared.spec.names import quote
from shared.spec.query import Made, Query
from worker_service.arrow import Array, Mask, as_array, from_mask, true
from worker_service.kernels.expressions import ParseText, evaluate

_LARGE = pa.decimal128(38, 0)


def computed(table: pa.Table, query: Query, parse: ParseText | None) -> tuple[pa.Table, Mask]:
    """The rows of *table* that stay, with all columns of the result; and the mask of those that stay.

    A sum of integers is a decimal for expressions, whether a group needs that or not. So no result depends on
    the other groups of a merge. Raises ComputeFailed.
    """
    large = {aggregate.name for aggregate in query.aggregates if aggregate.may_widen}
    columns = {
        name: column.cast(_LARGE) if name in large else column
        for name, column in ((name, as_array(table[name])) for name in table.column_names)
    }
    for made in query.computed:
        columns[made.name] = _value(made, columns, table, query, parse)
        table = table.append_column(made.name, columns[made.name])
    if query.having is None:
        return table, np.ones(table.num_rows, np.bool_)
    kept = true(_value(query.having, columns, table, query, parse))
    return _narrowed(table.filter(from_mask(kept)).combine_chunks(), large), kept


def _narrowed(table: pa.Table, large: Collection[str]) -> pa.Table:
    """The sums of *large* are int64 again, where no group that stays needs more."""
    for i, name in enumerate(table.column_names):
        if name in large:
            with contextlib.suppress(pa.ArrowInvalid):
                table = table.set_column(i, name, table[name].cast(pa.int64()))
    return table


def _value(
    made: Made, columns: dict[str, Array], table: pa.Table, query: Query, parse: ParseText | None
) -> Array:
    assert isinstance(made.by, Typed)
    assert parse is not None
    found = evaluate(made.by, columns, table.num_rows, parse)
    for row, reason in found.errors():
        raise ComputeFailed(f"{made.at}: {reason}, in {_group(table, query, row)}", pointer=made.at)
    return found.values


def _group(table: pa.Table, query: Query, row: int) -> str:
    if not query.keys:
        return "the one group"
    values = {key.name: table[key.name][row].as_py() for key in query.keys}
    told = (
        f"{quote(name)} is {quote(value) if isinstance(value, str) else value}"
        for name, value in values.items()
    )
    return f"the group where {' and '.join(told)}"
