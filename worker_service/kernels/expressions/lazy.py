"""The operations that need an operand only in some rows: they take its errors from no other row.

All operands have been evaluated in all rows.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.compute as pc

from worker_service.arrow import from_mask, true
from worker_service.kernels.expressions.operands import Operand, array
from worker_service.kernels.expressions.values import Value, column, first, needed, plain


def _if_else(values: Sequence[Value], rows: int) -> Value:
    condition, value, other = values
    met = true(array(condition.data))
    branches = first(needed(value.errors, met), needed(other.errors, ~met))
    chosen = from_mask(np.broadcast_to(met, rows))
    return Value(pc.if_else(chosen, plain(value.data), plain(other.data)), first(condition.errors, branches))


def _coalesce(values: Sequence[Value], rows: int) -> Value:
    """An operand is needed where all before it are null."""
    errors, null = values[0].errors, np.ones(1, np.bool_)
    for before, value in pairwise(values):
        null = null & true(pc.is_null(array(before.data)))
        errors = first(errors, needed(value.errors, null))
    return Value(column(pc.coalesce(*(plain(value.data) for value in values)), rows), errors)


def _logic(combine: Callable[..., Any], *, decided: bool) -> Callable[[Sequence[Value], int], Value]:
    """An operand is needed where the ones before it do not decide."""

    def logic(values: Sequence[Value], rows: int) -> Value:
        data: Operand = values[0].data
        errors = values[0].errors
        for value in values[1:]:
            if value.errors is not None:
                open_ = ~true(pc.equal(array(data), decided))
                errors = first(errors, needed(value.errors, open_))
            data = combine(data, value.data)
        return Value(column(data, rows), errors)

    return logic


LAZY: Mapping[str, Callable[[Sequence[Value], int], Value]] = {
    "if_else": _if_else,
    "coalesce": _coalesce,
    "and": _logic(pc.and_kleene, decided=False),
    "or": _logic(pc.or_kleene, decided=True),
}
