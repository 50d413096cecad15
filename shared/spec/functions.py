"""The table of aggregate functions: parameters, accepted types, result type, default name, and documentation.

The kernels of the worker declare how a function is computed. A new function needs a row here and a kernel
there; `python -m worker_service.kernels.page` then writes docs/aggregates.md anew.
"""

from shared.spec.signature import (
    ANYTHING,
    DDOF,
    NUMBER,
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

__all__ = ["FUNCTIONS", "Function", "Parameter"]

_NUMBERS, _ANY = {"column": column(NUMBER)}, {"column": column(ANYTHING)}
_SPREAD = {"column": column(NUMBER), "ddof": DDOF}
_ARG = {"column": column(ANYTHING), "by": column(ANYTHING)}
_RANKED = {"column": column(ANYTHING), "k": VALUE}
_PAIR = {"y": column(NUMBER), "x": column(NUMBER)}

_OWN, _DOUBLE = "the column's type", "double precision"
_AVERAGE = "double precision; of decimal(p,s) numeric with scale s + min(6, 38 - p)"
_EXACT, _ROUNDED = "exact", "the exact value, rounded once to the nearest double"
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
        parameters={"column": column(ANYTHING, required=False)},
        result=always(INT64),
        result_text="bigint",
        what="The rows of the group; with a column, its values that are not null.",
        exact=_EXACT,
        missing="nulls are not counted; 0 for a group without values; NaN counts under `sql`",
    ),
    Function(
        name="sum",
        parameters=_NUMBERS,
        result=total,
        result_text=(
            "bigint, or numeric when a group needs it; double precision; of decimals numeric with their scale"
        ),
        may_widen=frozenset({"int64"}),
        what="The sum.",
        exact="integers and decimals exact; of doubles the exact sum, rounded once to the nearest double",
        missing=(
            "nulls are passed over; a group without values has null under `sql` and 0 under `pandas`. A "
            "NaN, or both infinities, make NaN; one infinity makes that infinity. More than 38 digits fail "
            "the job"
        ),
    ),
    Function(
        name="mean",
        parameters=_NUMBERS,
        result=average,
        result_text=_AVERAGE,
        what="The sum divided by the number of values.",
        exact=_AVERAGED,
        missing=f"{_SKIPPED}. NaN and infinities as for `sum`",
    ),
    Function(
        name="min",
        parameters=_ANY,
        result=own,
        result_text=_OWN,
        what="The smallest value: strings by their UTF-8 bytes, false before true.",
        exact=_EXACT,
        missing=_ORDERED,
    ),
    Function(
        name="max",
        parameters=_ANY,
        result=own,
        result_text=_OWN,
        what="The largest value, in the order of `min`.",
        exact=_EXACT,
        missing=_ORDERED,
    ),
    Function(
        name="var",
        parameters=_SPREAD,
        result=always(FLOAT64),
        result_text=_DOUBLE,
        what="The variance: squared distances from the mean, divided by the number of values less `ddof`.",
        exact=_ROUNDED,
        missing=f"{_FEW}. {_NOT_FINITE}",
    ),
    Function(
        name="std",
        parameters=_SPREAD,
        result=always(FLOAT64),
        result_text=_DOUBLE,
        what="The standard deviation: the root of `var`.",
        exact="the root of the exact variance, rounded once to the nearest double",
        missing=f"{_FEW}. {_NOT_FINITE}",
    ),
    Function(
        name="sem",
        parameters=_SPREAD,
        result=always(FLOAT64),
        result_text=_DOUBLE,
        what="The standard error of the mean: the root of the variance divided by the number of values.",
        exact="the root of the exact quotient, rounded once to the nearest double",
        missing=f"{_FEW}. {_NOT_FINITE}",
    ),
    Function(
        name="any",
        parameters={"column": column(TRUTH)},
        result=own,
        result_text="bool",
        what="Whether a value is true.",
        exact=_EXACT,
        missing="nulls are passed over; a group without values has null under `sql` and false under `pandas`",
    ),
    Function(
        name="all",
        parameters={"column": column(TRUTH)},
        result=own,
        result_text="bool",
        what="Whether every value is true.",
        exact=_EXACT,
        missing="nulls are passed over; a group without values has null under `sql` and true under `pandas`",
    ),
    Function(
        name="first",
        parameters=_ANY,
        result=own,
        result_text=_OWN,
        what="The value of the first row: by file, as the job lists the files, then by position in the file.",
        exact=_EXACT,
        missing=(
            "under `sql` the value of the first row, null or not; under `pandas` the first value that is "
            "not missing"
        ),
    ),
    Function(
        name="last",
        parameters=_ANY,
        result=own,
        result_text=_OWN,
        what="The value of the last row, in the order of `first`.",
        exact=_EXACT,
        missing="as for `first`",
    ),
    Function(
        name="arg_min",
        parameters=_ARG,
        result=own,
        result_text="the type of `column`",
        default_name="{fn}_{column}_by_{by}",
        what=(
            "The value of `column` in the row where `by` is smallest, in the order of `min`. Of several "
            "such rows the first one counts."
        ),
        exact=_EXACT,
        missing=_BY,
    ),
    Function(
        name="arg_max",
        parameters=_ARG,
        result=own,
        result_text="the type of `column`",
        default_name="{fn}_{column}_by_{by}",
        what=(
            "The value of `column` in the row where `by` is largest, in the order of `min`. Of several "
            "such rows the first one counts."
        ),
        exact=_EXACT,
        missing=_BY,
    ),
    Function(
        name="nunique",
        parameters=_ANY,
        result=always(INT64),
        result_text="bigint",
        what="How many different values there are; 0.0 and -0.0 are one.",
        exact=_EXACT,
        missing="nulls are not counted; 0 for a group without values. Under `sql` NaN is one value",
    ),
    Function(
        name="mode",
        parameters=_ANY,
        result=own,
        result_text=_OWN,
        what="The most frequent value. Of several such values it is the smallest, in the order of `min`.",
        exact=_EXACT,
        missing=_ORDERED,
    ),
    Function(
        name="median",
        parameters=_NUMBERS,
        result=average,
        result_text=_AVERAGE,
        what="The middle value, or the middle between the two middle ones: `quantile` with q = 0.5.",
        exact=_AVERAGED,
        missing=_ORDERED,
    ),
    Function(
        name="quantile",
        parameters={"column": column(NUMBER), "q": VALUE},
        result=average,
        result_text=_AVERAGE,
        what=(
            "The value at position (n - 1) q of the n sorted values, counted from 0. Between two positions "
            "it is the point on the straight line. `q` is read as the decimal number that is written, "
            "with at most 18 decimal places. A list of `q` makes one column each."
        ),
        exact=_AVERAGED,
        missing=(
            f"{_ORDERED}. A line to an infinity is that infinity; to NaN, or between both infinities, it "
            "is NaN"
        ),
    ),
    Function(
        name="top",
        parameters=_RANKED,
        result=several,
        result_text="an array of the column's type",
        what=(
            "The `k` largest values (1 to 1,000), largest first. A value that occurs several times is "
            "listed as often."
        ),
        exact=_EXACT,
        missing=_ORDERED,
    ),
    Function(
        name="bottom",
        parameters=_RANKED,
        result=several,
        result_text="an array of the column's type",
        what=(
            "The `k` smallest values (1 to 1,000), smallest first. A value that occurs several times is "
            "listed as often."
        ),
        exact=_EXACT,
        missing=_ORDERED,
    ),
    Function(
        name="cov",
        parameters=_PAIR,
        result=always(FLOAT64),
        result_text=_DOUBLE,
        default_name="{fn}_{y}_{x}",
        what="The covariance of two columns, divided by the number of rows less one.",
        exact=_ROUNDED,
        missing=f"{_BOTH}. Null for fewer than two. {_NOT_FINITE}",
    ),
    Function(
        name="corr",
        parameters=_PAIR,
        result=always(FLOAT64),
        result_text=_DOUBLE,
        default_name="{fn}_{y}_{x}",
        what="The correlation of two columns (Pearson's), never outside [-1, 1].",
        exact=(
            "the covariance divided by the root of the product of the variances, all exact, rounded once "
            "to the nearest double"
        ),
        missing=f"{_BOTH}. Null for fewer than two, or if a column has one distinct value. {_NOT_FINITE}",
    ),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _TABLE}
