"""The table of aggregate functions: parameters, accepted types, result type, default name, docs' texts.

How a function is computed is declared beside the kernels of the worker. A new function needs an entry here
and a kernel there; `python -m worker_service.kernels.page` then writes docs/aggregates.md anew.
"""

from shared.spec.signature import (
    ANYTHING,
    DDOF,
    NUMBER,
    ORDERED,
    TRUTH,
    VALUE,
    Function,
    Parameter,
    always,
    average,
    column,
    own,
    several,
    total,
)
from shared.spec.types import FLOAT64, INT64

__all__ = ["FUNCTIONS", "SYNONYMS", "Function", "Parameter"]

_NUMBERS, _ANY = {"column": column(NUMBER)}, {"column": column(ANYTHING)}
_LEAST = {"column": column(ORDERED)}
_SPREAD = {"column": column(NUMBER), "ddof": DDOF}
_ARG = {"column": column(ANYTHING), "by": column(ORDERED)}
_RANKED = {"column": column(ORDERED), "k": VALUE}
_PAIR = {"y": column(NUMBER), "x": column(NUMBER)}

_OWN, _DOUBLE = "the column's type", "double precision"
_AVERAGE = "double precision; of decimal(p,s) numeric with scale s + min(6, 38 - p)"
_ROUNDED = "the exact value, rounded once to the nearest double"
_AVERAGED = "the exact value, rounded once: to the nearest double, decimals half to even"
_SKIPPED = "nulls are passed over; null for a group without values"
_ORDERED = f"{_SKIPPED}. NaN is above all numbers"
_FEW = "nulls are passed over; null for a group of `ddof` values or fewer"
_NOT_FINITE = "A NaN or an infinity makes NaN"
_BY = (
    "rows where `by` is null are passed over; a null `column` is a value. Null for a group without rows. "
    "NaN is above all numbers"
)
_BOTH = "rows where one of the two is null are passed over"

_TABLE = (
    Function(
        name="count",
        also_called="size n len length rows count_rows value_count counts",
        parameters={"column": column(ANYTHING, required=False)},
        result=always(INT64),
        result_text="bigint",
        summary="The rows of the group; with a column, its values that are not null.",
        nulls="nulls are not counted; 0 for a group without values; NaN counts under `sql`",
    ),
    Function(
        name="sum",
        also_called="total add sums",
        parameters=_NUMBERS,
        result=total,
        result_text=(
            "bigint, or numeric when a group needs it; double precision; of decimals numeric with their scale"
        ),
        may_widen=frozenset({"int64"}),
        summary="The sum.",
        exactness="integers and decimals exact; of doubles the exact sum, rounded once to the nearest double",
        nulls=(
            "nulls are passed over; a group without values has null under `sql` and 0 under `pandas`. "
            "A NaN, or both infinities, make NaN; one infinity makes that infinity. "
            "More than 38 digits fail the job"
        ),
    ),
    Function(
        name="mean",
        also_called="avg average mean_value",
        parameters=_NUMBERS,
        result=average,
        result_text=_AVERAGE,
        summary="The sum divided by the number of values.",
        exactness=_AVERAGED,
        nulls=f"{_SKIPPED}. NaN and infinities as for `sum`",
    ),
    Function(
        name="min",
        also_called="minimum lowest smallest",
        parameters=_LEAST,
        result=own,
        result_text=_OWN,
        summary="The smallest value: strings by their UTF-8 bytes, false before true.",
        nulls=_ORDERED,
    ),
    Function(
        name="max",
        also_called="maximum highest largest",
        parameters=_LEAST,
        result=own,
        result_text=_OWN,
        summary="The largest value, in the order of `min`.",
        nulls=_ORDERED,
    ),
    Function(
        name="var",
        also_called="variance var_samp variance_samp var_pop variance_pop varp",
        parameters=_SPREAD,
        result=always(FLOAT64),
        result_text=_DOUBLE,
        summary="The variance: squared distances from the mean, divided by the number of values less `ddof`.",
        exactness=_ROUNDED,
        nulls=f"{_FEW}. {_NOT_FINITE}",
    ),
    Function(
        name="std",
        also_called="stddev stdev stddev_samp stddev_pop sd standard_deviation stdevp",
        parameters=_SPREAD,
        result=always(FLOAT64),
        result_text=_DOUBLE,
        summary="The standard deviation: the root of `var`.",
        exactness="the root of the exact variance, rounded once to the nearest double",
        nulls=f"{_FEW}. {_NOT_FINITE}",
    ),
    Function(
        name="sem",
        also_called="standard_error stderr",
        parameters=_SPREAD,
        result=always(FLOAT64),
        result_text=_DOUBLE,
        summary="The standard error of the mean: the root of the variance divided by the number of values.",
        exactness="the root of the exact quotient, rounded once to the nearest double",
        nulls=f"{_FEW}. {_NOT_FINITE}",
    ),
    Function(
        name="any",
        also_called="bool_or some",
        parameters={"column": column(TRUTH)},
        result=own,
        result_text="bool",
        summary="Whether a value is true.",
        nulls="nulls are passed over; a group without values has null under `sql` and false under `pandas`",
    ),
    Function(
        name="all",
        also_called="bool_and every",
        parameters={"column": column(TRUTH)},
        result=own,
        result_text="bool",
        summary="Whether every value is true.",
        nulls="nulls are passed over; a group without values has null under `sql` and true under `pandas`",
    ),
    Function(
        name="first",
        also_called="first_value any_value head",
        parameters=_ANY,
        result=own,
        result_text=_OWN,
        summary=(
            "The value of the first row: by file, as the job lists the files, then by position in the file."
        ),
        nulls=(
            "under `sql` the value of the first row, null or not; "
            "under `pandas` the first value that is not missing"
        ),
    ),
    Function(
        name="last",
        also_called="last_value tail",
        parameters=_ANY,
        result=own,
        result_text=_OWN,
        summary="The value of the last row, in the order of `first`.",
        nulls="as for `first`",
    ),
    Function(
        name="arg_min",
        also_called="argmin idxmin min_by",
        parameters=_ARG,
        result=own,
        result_text="the type of `column`",
        default_name="{fn}_{column}_by_{by}",
        summary=(
            "The value of `column` in the row where `by` is smallest, in the order of `min`. "
            "Of several such rows the first one counts."
        ),
        nulls=_BY,
    ),
    Function(
        name="arg_max",
        also_called="argmax idxmax max_by",
        parameters=_ARG,
        result=own,
        result_text="the type of `column`",
        default_name="{fn}_{column}_by_{by}",
        summary=(
            "The value of `column` in the row where `by` is largest, in the order of `min`. "
            "Of several such rows the first one counts."
        ),
        nulls=_BY,
    ),
    Function(
        name="nunique",
        also_called="distinct count_distinct distinct_count unique n_unique uniq countdistinct",
        lists=True,
        parameters=_ANY,
        result=always(INT64),
        result_text="bigint",
        summary="How many different values there are; 0.0 and -0.0 are one.",
        nulls="nulls are not counted; 0 for a group without values. Under `sql` NaN is one value",
    ),
    Function(
        name="mode",
        also_called="most_common most_frequent",
        lists=True,
        parameters=_ANY,
        result=own,
        result_text=_OWN,
        summary="The most frequent value. Of several such values it is the smallest, in the order of `min`.",
        nulls=_ORDERED,
    ),
    Function(
        name="median",
        also_called="med middle",
        lists=True,
        parameters=_NUMBERS,
        result=average,
        result_text=_AVERAGE,
        summary="The middle value, or the middle between the two middle ones: `quantile` with q = 0.5.",
        exactness=_AVERAGED,
        nulls=_ORDERED,
    ),
    Function(
        name="quantile",
        also_called="percentile quantiles percentile_cont quantile_cont percentiles",
        lists=True,
        parameters={"column": column(NUMBER), "q": VALUE},
        result=average,
        result_text=_AVERAGE,
        summary=(
            "The value at position (n - 1) q of the n sorted values, counted from 0. "
            "Between two positions it is the point on the straight line. "
            "`q` is read as the decimal number that is written, with at most 18 decimal places. "
            "A list of `q` makes one column each."
        ),
        exactness=_AVERAGED,
        nulls=(
            f"{_ORDERED}. A line to an infinity is that infinity; "
            "to NaN, or between both infinities, it is NaN"
        ),
    ),
    Function(
        name="top",
        also_called="nlargest top_k topk",
        lists=True,
        parameters=_RANKED,
        result=several,
        result_text="an array of the column's type",
        summary=(
            "The `k` largest values (1 to 1,000), largest first. "
            "A value that occurs several times is listed as often."
        ),
        nulls=_ORDERED,
    ),
    Function(
        name="bottom",
        also_called="nsmallest bottom_k bottomk",
        lists=True,
        parameters=_RANKED,
        result=several,
        result_text="an array of the column's type",
        summary=(
            "The `k` smallest values (1 to 1,000), smallest first. "
            "A value that occurs several times is listed as often."
        ),
        nulls=_ORDERED,
    ),
    Function(
        name="cov",
        also_called="covariance covar covar_samp",
        parameters=_PAIR,
        result=always(FLOAT64),
        result_text=_DOUBLE,
        default_name="{fn}_{y}_{x}",
        summary="The covariance of two columns, divided by the number of rows less one.",
        exactness=_ROUNDED,
        nulls=f"{_BOTH}. Null for fewer than two. {_NOT_FINITE}",
    ),
    Function(
        name="corr",
        also_called="correlation pearson",
        parameters=_PAIR,
        result=always(FLOAT64),
        result_text=_DOUBLE,
        default_name="{fn}_{y}_{x}",
        summary="The correlation of two columns (Pearson's), never outside [-1, 1].",
        exactness=(
            "the covariance divided by the root of the product of the variances, all exact, "
            "rounded once to the nearest double"
        ),
        nulls=f"{_BOTH}. Null for fewer than two, or if a column has one distinct value. {_NOT_FINITE}",
    ),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _TABLE}

SYNONYMS: dict[str, str] = {
    other: function.name for function in _TABLE for other in function.also_called.split()
}
"""The name of a function in other tools -> its name here."""
