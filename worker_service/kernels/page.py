"""docs/aggregates.md, written from the table of functions and their kernels.

`python -m worker_service.kernels.page > docs/aggregates.md`
"""

import sys
from collections.abc import Iterable, Iterator

from shared.spec.functions import FUNCTIONS
from shared.spec.query import Aggregate
from shared.spec.signature import Function
from shared.spec.types import FLOAT64
from worker_service.kernels.aggregates.declaration import State
from worker_service.kernels.aggregates.table import KERNELS

_INTRODUCTION = """# Aggregates

Written by `python -m worker_service.kernels.page` from the table of functions. Change the table, not
this page.

Every result is the same, bit for bit, for any chunk size, number of workers, retry or crash. See
[exactness.md](exactness.md).

## Order, ties, nulls, NaN

- **Order of values**: numbers and times as usual, strings by their UTF-8 bytes, false before true. NaN
  is above all numbers, and there is one NaN. 0.0 and -0.0 are the same value, and results show 0.0.
- **Order of rows**: by file, as the job lists the files, then by position in the file. Where values tie,
  `arg_min` and `arg_max` take the first row in this order, and `mode` takes the smallest value.
- **Nulls** in an aggregate's columns are passed over, except by `first` and `last` under `sql`. A null
  group key forms a group under `sql`. Under `pandas` such rows are dropped and counted.
- **NaN** is a value under `"semantics": "sql"`: it propagates through sums, it is the largest value, and
  it is counted. Under `"semantics": "pandas"` it is missing, exactly like null, in every aggregate.
- **A group without values** has null. `count` and `nunique` have 0. Under `pandas` `sum` has 0 too,
  `any` has false and `all` has true.

## State

A job keeps a **state** for each group while it runs. A state is *bounded* if it has a fixed size for any
data. It *grows* if it keeps the values of the group, or each once with its count where they repeat. So
`nunique`, `mode`, `median` and `quantile` suit columns with up to a few million distinct values in a
group. A job fails with `state_too_large` beyond `limits.max_state_bytes`. It also fails if one part of
the merge would keep more than a thirty-second of a slot's memory (`GRISTMILL_SLOT_MEMORY_BYTES`).
"""


def page() -> str:
    functions = FUNCTIONS.values()
    return "\n".join(
        [
            _INTRODUCTION,
            *_overview(functions),
            "",
            *(line for function in functions for line in _section(function)),
        ]
    )


def _overview(functions: Iterable[Function]) -> Iterator[str]:
    yield "| function | of | result | state |"
    yield "|---|---|---|---|"
    for function in functions:
        parameters = ", ".join(
            f"[{name}]" if not parameter.required else name for name, parameter in function.parameters.items()
        )
        state = "grows" if any(state.growing for state in _states(function)) else "bounded"
        call, accepts = f"`{function.name}({parameters})`", function.first_accepts.name
        yield f"| {call} | {accepts} | {function.result_text} | {state} |"


def _states(function: Function) -> tuple[State, ...]:
    """Of an aggregate of the function without parameters."""
    some = Aggregate(fn=function.name, name="", inputs=(), result=FLOAT64)
    return KERNELS[function.name].states(some)


def _section(function: Function) -> Iterator[str]:
    yield from (f"## {function.name}", "", function.summary, "")
    yield f"- Parameters: {', '.join(_parameters(function))}"
    yield f"- Result: {function.result_text}"
    yield f"- Exactness: {function.exactness}"
    yield f"- Nulls and NaN: {function.nulls}"
    yield f"- State: {'; '.join(map(_described, _states(function)))}"
    yield ""


def _parameters(function: Function) -> Iterator[str]:
    for name, parameter in function.parameters.items():
        accepts = f" ({parameter.accepts.name})" if parameter.accepts else ""
        default = "optional" if parameter.default is None else f"{parameter.default} by default"
        yield f"`{name}`{accepts}{'' if parameter.required else f', {default}'}"


def _described(state: State) -> str:
    columns = ", ".join(
        f"`{state.name}{'_' if suffix else ''}{suffix}` {dtype}" for suffix, dtype in state.columns.items()
    )
    return (
        columns.replace(" own", " of the column's type")
        .replace(" by", " of the type of `by`")
        .replace("item: ", "")
    )


if __name__ == "__main__":
    sys.stdout.write(page())
