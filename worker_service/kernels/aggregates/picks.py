"""The value in one row of each group: first, last, arg_min, arg_max.

The row is chosen by its ordinal in the dataset, or by another column and then by the ordinal.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import pyarrow as pa

from shared.spec.query import Semantics
from worker_service.arrow import Ints, canonical, numbers_of, validity, without_dictionary
from worker_service.kernels.aggregates.declaration import Columns, Kernel, Rows, State, keeps
from worker_service.kernels.aggregates.order import least_row, sort_keys
from worker_service.kernels.grouping import Groups

Keys: TypeAlias = Callable[[Columns], tuple[Ints, ...]]
"""The integers by which the row is chosen, least first.

The ordinal is always among them, so no two rows are equal.
"""

_INPUT_SUFFIXES = ("", "by")
_ORDINAL = "at"
"""Suffix of the column of row ordinals."""


def _pick(columns: Columns, groups: Groups, keys: Keys) -> Columns:
    chosen = least_row(groups, *keys(columns))
    return {suffix: without_dictionary(column.take(chosen)) for suffix, column in columns.items()}


def _state(
    name: str, keys: Keys, needs: Mapping[Semantics, tuple[int, ...]], suffixes: Mapping[str, str]
) -> State:
    def partial(rows: Rows) -> Columns:
        values = {
            suffix: canonical(column) for suffix, column in zip(_INPUT_SUFFIXES, rows.values, strict=False)
        }
        return _pick({**values, _ORDINAL: pa.array(rows.ordinals)}, rows.groups, keys)

    def combine(columns: Columns, groups: Groups) -> Columns:
        """A group that had no row so far has a null ordinal."""
        if (present := validity(columns[_ORDINAL])) is not None:
            kept, groups = pa.array(present), groups.only(present)
            columns = {suffix: column.filter(kept) for suffix, column in columns.items()}
        return _pick(columns, groups, keys)

    return State(
        name=name,
        columns={**suffixes, _ORDINAL: "int64"},
        identity=None,
        partial=partial,
        combine=combine,
        needs=needs,
    )


def _ordinals(columns: Columns) -> Ints:
    ordinals: Ints = numbers_of(columns[_ORDINAL])
    return ordinals


_VALUE, _VALUE_AND_BY = {"": "own"}, {"": "own", "by": "by"}
_VALUE_IN_PANDAS: Mapping[Semantics, tuple[int, ...]] = {"sql": (), "pandas": (0,)}
_BY: Mapping[Semantics, tuple[int, ...]] = {"sql": (1,), "pandas": (1,)}

FIRST = _state("first", lambda columns: (_ordinals(columns),), _VALUE_IN_PANDAS, _VALUE)
LAST = _state("last", lambda columns: (~_ordinals(columns),), _VALUE_IN_PANDAS, _VALUE)
ARG_MIN = _state("least", lambda columns: (sort_keys(columns["by"]), _ordinals(columns)), _BY, _VALUE_AND_BY)
ARG_MAX = _state("most", lambda columns: (~sort_keys(columns["by"]), _ordinals(columns)), _BY, _VALUE_AND_BY)


def _kernel(name: str, state: State) -> Kernel:
    """The state's first column is the result."""
    return Kernel(name=name, states=keeps(state), finalize=lambda combined: combined.column(state))


PICKS = (
    _kernel("first", FIRST),
    _kernel("last", LAST),
    _kernel("arg_min", ARG_MIN),
    _kernel("arg_max", ARG_MAX),
)
