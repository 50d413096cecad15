"""One row of each group, chosen by its place in the dataset or by another column: first, last, arg_min, arg_max."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import pyarrow as pa

from shared.spec.query import Semantics
from worker_service.kernels.arrays import Ints, canonical, plain, raw, valid
from worker_service.kernels.declaration import Columns, Kernel, Rows, State, keeps
from worker_service.kernels.grouping import Groups
from worker_service.kernels.order import least, ordered

Keys: TypeAlias = Callable[[Columns], tuple[Ints, ...]]
"""By which integers, least first, the row is chosen.

The place is always among them, so no two rows are equal.
"""

_SUFFIXES = ("", "by")


def _pick(columns: Columns, groups: Groups, keys: Keys) -> Columns:
    chosen = least(groups, *keys(columns))
    return {suffix: plain(column.take(chosen)) for suffix, column in columns.items()}


def _picked(rows: Rows, keys: Keys) -> Columns:
    values = {suffix: canonical(column) for suffix, column in zip(_SUFFIXES, rows.values, strict=False)}
    return _pick({**values, "at": pa.array(rows.places)}, rows.groups, keys)


def _combined(columns: Columns, groups: Groups, keys: Keys) -> Columns:
    """A group that had no row so far has no place."""
    if (present := valid(columns["at"])) is None:
        return _pick(columns, groups, keys)
    chosen = pa.array(present)
    return _pick(
        {suffix: column.filter(chosen) for suffix, column in columns.items()}, groups.only(present), keys
    )


def _state(
    name: str, keys: Keys, needs: Mapping[Semantics, tuple[int, ...]], suffixes: Mapping[str, str]
) -> State:
    return State(
        name=name,
        columns={**suffixes, "at": "int64"},
        identity=None,
        partial=lambda rows: _picked(rows, keys),
        combine=lambda columns, groups: _combined(columns, groups, keys),
        needs=needs,
    )


def _place(columns: Columns) -> Ints:
    places: Ints = raw(columns["at"])
    return places


_ONE = {"": "own"}
_VALUE_IN_PANDAS: Mapping[Semantics, tuple[int, ...]] = {"sql": (), "pandas": (0,)}
_TWO = {"": "own", "by": "by"}
_BY: Mapping[Semantics, tuple[int, ...]] = {"sql": (1,), "pandas": (1,)}

FIRST = _state("first", lambda columns: (_place(columns),), _VALUE_IN_PANDAS, _ONE)
LAST = _state("last", lambda columns: (~_place(columns),), _VALUE_IN_PANDAS, _ONE)
AT_LEAST = _state("least", lambda columns: (ordered(columns["by"]), _place(columns)), _BY, _TWO)
AT_MOST = _state("most", lambda columns: (~ordered(columns["by"]), _place(columns)), _BY, _TWO)


def _kernel(name: str, state: State) -> Kernel:
    """The state's first column is the result."""
    return Kernel(name=name, states=keeps(state), finalize=lambda ending: ending.states[state.name][""])


PICKS = (
    _kernel("first", FIRST),
    _kernel("last", LAST),
    _kernel("arg_min", AT_LEAST),
    _kernel("arg_max", AT_MOST),
)
