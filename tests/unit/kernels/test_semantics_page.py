"""docs/semantics.md is what the kernels answer, and what DuckDB and pandas answer where it says so."""

import math
from pathlib import Path

import duckdb
import pytest

from shared.spec.functions import FUNCTIONS
from worker_service.kernels.semantics import (
    ASKED,
    DIFFERENCES,
    QUANTILE,
    RANKED,
    SITUATIONS,
    answer,
    asks,
    page,
    rows_of,
)

SQL = {
    "count": "count(x)",
    "sum": "sum(x)",
    "mean": "avg(x)",
    "min": "min(x)",
    "max": "max(x)",
    "var": "var_samp(x)",
    "std": "stddev_samp(x)",
    "sem": "stddev_samp(x) / sqrt(count(x))",
    "any": "bool_or(flag)",
    "all": "bool_and(flag)",
    "first": "first(x ORDER BY z)",
    "last": "last(x ORDER BY z)",
    "arg_min": "arg_min(row, x)",
    "arg_max": "arg_max(row, x)",
    "nunique": "count(DISTINCT x)",
    "mode": "mode(x ORDER BY x)",
    "median": "median(x)",
    "quantile": f"quantile_cont(x, {QUANTILE})",
    "top": f"max(x, {RANKED})",
    "bottom": f"min(x, {RANKED})",
    "cov": "covar_samp(x, z)",
    "corr": "corr(x, z)",
}


def first_or_none(values):
    return next(iter(values), None)


PANDAS = {
    "count": lambda frame: frame.x.count(),
    "sum": lambda frame: frame.x.sum(),
    "mean": lambda frame: frame.x.mean(),
    "min": lambda frame: frame.x.min(),
    "max": lambda frame: frame.x.max(),
    "var": lambda frame: frame.x.var(),
    "std": lambda frame: frame.x.std(),
    "sem": lambda frame: frame.x.sem(),
    "any": lambda frame: frame.flag.astype("boolean").any(),
    "all": lambda frame: frame.flag.astype("boolean").all(),
    "first": lambda frame: first_or_none(frame.x.dropna()),
    "last": lambda frame: first_or_none(frame.x.dropna()[::-1]),
    "arg_min": lambda frame: frame.row[frame.x.idxmin()] if frame.x.count() else None,
    "arg_max": lambda frame: frame.row[frame.x.idxmax()] if frame.x.count() else None,
    "nunique": lambda frame: frame.x.nunique(),
    "mode": lambda frame: first_or_none(frame.x.mode()),
    "median": lambda frame: frame.x.median(),
    "quantile": lambda frame: frame.x.quantile(QUANTILE),
    "top": lambda frame: frame.x.nlargest(RANKED).dropna().tolist() or None,
    "bottom": lambda frame: frame.x.nsmallest(RANKED).dropna().tolist() or None,
    "cov": lambda frame: frame.x.cov(frame.z) if frame.x.count() else None,
    "corr": lambda frame: frame.x.corr(frame.z) if frame.x.count() > 1 else None,
}


def of_duckdb(function, situation):
    rows = rows_of(situation)
    assert rows.num_columns == 4
    return duckdb.sql(f"SELECT {SQL[function]} FROM rows").fetchall()[0][0]


def of_pandas(function, situation):
    return PANDAS[function](rows_of(situation).to_pandas())


def same(left, right):
    """To a few bits; a list, a null and a NaN are themselves."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if left is None or right is None or isinstance(left, str):
        return left is right or left == right
    return (math.isnan(left) and math.isnan(right)) or left == right or math.isclose(left, right)


def missing(value):
    """pandas has one missing value: NaN."""
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else value


def agrees(semantics, function, situation):
    found = answer(function, situation, semantics)
    if semantics == "pandas":
        return same(missing(found), missing(of_pandas(function, situation)))
    try:
        return same(found, of_duckdb(function, situation))
    except duckdb.OutOfRangeException:
        return False


CELLS = [
    (semantics, function, situation)
    for semantics in ("sql", "pandas")
    for function in FUNCTIONS
    for situation in SITUATIONS
    if asks(function, situation)
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of infinities, inside pandas
@pytest.mark.parametrize(("semantics", "function", "situation"), CELLS)
def test_an_aggregate_answers_as_the_oracle_unless_the_page_says_that_it_differs(
    semantics, function, situation
):
    assert agrees(semantics, function, situation) == ((semantics, function, situation) not in DIFFERENCES)


def test_every_function_is_asked_with_columns_that_it_takes():
    assert set(SQL) == set(PANDAS) == set(FUNCTIONS)
    assert set(ASKED) <= set(FUNCTIONS)


def test_the_page_is_that_of_the_kernels():
    assert Path("docs/semantics.md").read_text() == page()
