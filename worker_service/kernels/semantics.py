"""docs/semantics.md: every aggregate over values that are odd, under both semantics.

`python -m worker_service.kernels.semantics > docs/semantics.md`
"""

import math
import sys
from collections.abc import Iterator

import pyarrow as pa

from shared.spec.functions import FUNCTIONS
from shared.spec.query import Aggregate, Input, Query, Semantics
from shared.spec.types import BOOL, FLOAT64, STRING
from worker_service.kernels.engine.combine import combine
from worker_service.kernels.engine.finalize import finalize
from worker_service.kernels.engine.partial import partial

SITUATIONS: dict[str, list[float | None]] = {
    "all null": [None, None],
    "some null": [4.0, None, 1.0],
    "NaN": [4.0, math.nan, 1.0],
    "infinity": [4.0, math.inf, 1.0],
    "empty group": [],
    "one row": [4.0],
}
"""The values of `x`, in the order of the rows."""

ASKED: dict[str, tuple[str, ...]] = {
    "any": ("flag",),
    "all": ("flag",),
    "arg_min": ("row", "x"),
    "arg_max": ("row", "x"),
    "cov": ("x", "z"),
    "corr": ("x", "z"),
}
"""The columns that a function is given; `x` alone where it is not named here."""

QUANTILE, RANKED = 0.25, 2
_TYPES = {"x": FLOAT64, "z": FLOAT64, "flag": BOOL, "row": STRING}

DIFFERENCES: dict[tuple[Semantics, str, str], str] = {
    ("sql", "corr", "one row"): "one row has no correlation. Postgres says null too, and DuckDB NaN."
}
"""(semantics, function, situation) -> why the answer is not that of DuckDB (`sql`) or pandas (`pandas`)."""

Answer = object
"""A value as Python has it."""


def rows_of(situation: str) -> pa.Table:
    """`x` of a situation, and three columns beside it.

    `flag` says whether x is above 2; a NaN or an infinity has no such column. `row` is the row's number as
    text, and `z` as a number.
    """
    x = SITUATIONS[situation]
    numbers = list(range(1, len(x) + 1))
    return pa.table(
        {
            "x": pa.array(x, pa.float64()),
            "z": pa.array(numbers, pa.float64()),
            "flag": pa.array([None if value is None else value > 2 for value in x], pa.bool_()),
            "row": pa.array([f"row {number}" for number in numbers], pa.string()),
        }
    )


def asks(function: str, situation: str) -> bool:
    """Whether the situation can occur: no bool is NaN or infinite."""
    return not ("flag" in ASKED.get(function, ()) and situation in {"NaN", "infinity"})


def answer(function: str, situation: str, semantics: Semantics) -> Answer:
    """The result of one aggregate without group keys."""
    columns = ASKED.get(function, ("x",))
    inputs = tuple(Input(name, _TYPES[name]) for name in columns)
    aggregate = Aggregate(
        fn=function,
        name="it",
        inputs=inputs,
        result=FUNCTIONS[function].result(inputs[0].type),
        q=QUANTILE if function == "quantile" else 0.5,
        k=RANKED,
    )
    query = Query(keys=(), aggregates=(aggregate,), semantics=semantics, max_groups=1)
    states = combine([partial(rows_of(situation), query)], query)
    return finalize(states, query).table["it"][0].as_py()


_INTRODUCTION = """# Semantics

Written by `python -m worker_service.kernels.semantics`. A test compares each cell with DuckDB and pandas.

`"semantics": "sql"` is the default. `"semantics": "pandas"` answers as pandas does, where NaN is missing.
[aggregates.md](aggregates.md) explains each function.

The rows of each situation, in their order:
"""

_CALLS = {
    "quantile": f"quantile(x, {QUANTILE})",
    "top": f"top(x, {RANKED})",
    "bottom": f"bottom(x, {RANKED})",
}


def page() -> str:
    return "\n".join([_INTRODUCTION, *_situations(), *_table("sql"), *_table("pandas"), *_differences(), ""])


def _situations() -> Iterator[str]:
    yield from ("| | `x` | `flag` | `row` | `z` |", "|---|---|---|---|---|")
    for name in SITUATIONS:
        columns = rows_of(name).to_pydict()
        cells = [columns["x"], columns["flag"] if asks("any", name) else [], columns["row"], columns["z"]]
        yield f"| {name} | " + " | ".join(", ".join(map(shown, values)) for values in cells) + " |"


def _table(semantics: Semantics) -> Iterator[str]:
    yield from ("", f"## {semantics}", "")
    yield "| | " + " | ".join(SITUATIONS) + " |"
    yield "|---|" + "---|" * len(SITUATIONS)
    for function in FUNCTIONS:
        call = _CALLS.get(function, f"{function}({', '.join(ASKED.get(function, ('x',)))})")
        cells = (
            shown(answer(function, situation, semantics)) if asks(function, situation) else ""
            for situation in SITUATIONS
        )
        yield f"| `{call}` | " + " | ".join(cells) + " |"


def _differences() -> Iterator[str]:
    yield from ("", "## Where the answers are others than those of DuckDB or pandas", "")
    for reason in dict.fromkeys(DIFFERENCES.values()):
        places = [
            f"`{function}` of {situation}"
            for (_, function, situation), told in DIFFERENCES.items()
            if told == reason
        ]
        yield f"- {', '.join(places)}: {reason}"


def shown(value: object) -> str:
    """A cell: null and NaN by their names, doubles with at most four decimal places."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{round(value, 4):g}".replace("inf", "infinity")
    return str(value)


if __name__ == "__main__":
    sys.stdout.write(page())
