"""The table of aggregate functions: for each its parameters, the types it accepts, its result type and default name.

Only the signatures; how a function is computed is declared beside the kernels of the worker. `supported` says whether
this version computes it. Adding a function here and a kernel there is all that a new one needs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.spec.types import FLOAT64, INT64, DataType, Kind


@dataclass(frozen=True, slots=True)
class Accepts:
    """A set of column kinds and how a message calls it."""

    what: str
    kinds: frozenset[Kind]


NUMBER = Accepts("a number", frozenset({"int64", "float64", "decimal"}))
TRUTH = Accepts("a bool", frozenset({"bool"}))
ANYTHING = Accepts("any type", frozenset({"bool", "int64", "float64", "decimal", "string", "date", "timestamp", "timestamptz"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter; `accepts` is set where it names a column of the dataset."""

    accepts: Accepts | None = None
    required: bool = True
    default: int | None = None


def column(accepts: Accepts, *, required: bool = True) -> Parameter:
    return Parameter(accepts=accepts, required=required)


VALUE, DDOF = Parameter(), Parameter(required=False, default=1)

Rule = Callable[[DataType | None], DataType]


def always(result: DataType) -> Rule:
    return lambda _: result


def own(of: DataType | None) -> DataType:
    """The result is of the column's own type."""
    assert of is not None, "only count goes without a column"
    return of


def total(of: DataType | None) -> DataType:
    """int64 stays int64 (and may widen), decimals get every digit there is, floats stay floats."""
    return DataType("decimal", 38, of.scale) if of and of.kind == "decimal" else own(of)


def average(of: DataType | None) -> DataType:
    """Decimals get six more places, as far as 38 digits have room for them beside those of the column."""
    return DataType("decimal", 38, of.scale + min(6, 38 - of.precision)) if of and of.kind == "decimal" else FLOAT64


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A signature. `result` gets the type of the first column parameter, None where it is not given.

    `default_name` is a template over the parameters. `may_widen` holds the kinds for which an int64 result becomes
    decimal(38,0) when a group needs it.
    """

    name: str
    parameters: Mapping[str, Parameter]
    result: Rule
    default_name: str = "{fn}_{column}"
    may_widen: frozenset[Kind] = field(default_factory=frozenset)
    supported: bool = False

    @property
    def first_accepts(self) -> Accepts:
        """What may be given as the first parameter, which names a column in every function."""
        first = next(iter(self.parameters.values()))
        assert first.accepts is not None, "every function begins with a column"
        return first.accepts

    def fault(self, parameter: str, *, given: bool) -> str | None:
        """What is wrong with giving, or not giving, *parameter*."""
        declared = self.parameters.get(parameter)
        if given and declared is None:
            return f"{self.name} has no parameter {parameter}; it takes {', '.join(self.parameters)}"
        if not given and declared is not None and declared.required:
            return f"{self.name} needs {parameter}"
        return None

    def name_for(self, given: Mapping[str, str]) -> str:
        """The default result name; *given* holds the column parameters that the spec sets."""
        return self.default_name.format(fn=self.name, **given) if given else self.name


_NUMBERS, _ANY = {"column": column(NUMBER)}, {"column": column(ANYTHING)}
_SPREAD = {"column": column(NUMBER), "ddof": DDOF}
_ARG = {"column": column(ANYTHING), "by": column(ANYTHING)}
_RANKED = {"column": column(ANYTHING), "k": VALUE}
_PAIR = {"y": column(NUMBER), "x": column(NUMBER)}

_TABLE = (
    Function(name="count", parameters={"column": column(ANYTHING, required=False)}, result=always(INT64), supported=True),
    Function(name="sum", parameters=_NUMBERS, result=total, may_widen=frozenset({"int64"}), supported=True),
    Function(name="mean", parameters=_NUMBERS, result=average, supported=True),
    Function(name="min", parameters=_ANY, result=own, supported=True),
    Function(name="max", parameters=_ANY, result=own, supported=True),
    Function(name="var", parameters=_SPREAD, result=always(FLOAT64), supported=True),
    Function(name="std", parameters=_SPREAD, result=always(FLOAT64), supported=True),
    Function(name="sem", parameters=_SPREAD, result=always(FLOAT64), supported=True),
    Function(name="any", parameters={"column": column(TRUTH)}, result=own, supported=True),
    Function(name="all", parameters={"column": column(TRUTH)}, result=own, supported=True),
    Function(name="first", parameters=_ANY, result=own, supported=True),
    Function(name="last", parameters=_ANY, result=own, supported=True),
    Function(name="arg_min", parameters=_ARG, result=own, default_name="{fn}_{column}_by_{by}", supported=True),
    Function(name="arg_max", parameters=_ARG, result=own, default_name="{fn}_{column}_by_{by}", supported=True),
    Function(name="nunique", parameters=_ANY, result=always(INT64), supported=True),
    Function(name="mode", parameters=_ANY, result=own, supported=True),
    Function(name="median", parameters=_NUMBERS, result=average, supported=True),
    Function(name="quantile", parameters={"column": column(NUMBER), "q": VALUE}, result=average, supported=True),
    Function(name="top", parameters=_RANKED, result=own),
    Function(name="bottom", parameters=_RANKED, result=own),
    Function(name="cov", parameters=_PAIR, result=always(FLOAT64), default_name="{fn}_{y}_{x}", supported=True),
    Function(name="corr", parameters=_PAIR, result=always(FLOAT64), default_name="{fn}_{y}_{x}", supported=True),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _TABLE}
SUPPORTED = tuple(function.name for function in _TABLE if function.supported)

_ALSO_CALLED = {
    "count": "size n len length rows count_rows value_count counts",
    "sum": "total add sums",
    "mean": "avg average mean_value",
    "min": "minimum lowest smallest",
    "max": "maximum highest largest",
    "var": "variance var_samp variance_samp var_pop variance_pop varp",
    "std": "stddev stdev stddev_samp stddev_pop sd standard_deviation stdevp",
    "sem": "standard_error stderr",
    "any": "bool_or some",
    "all": "bool_and every",
    "first": "first_value any_value head",
    "last": "last_value tail",
    "arg_min": "argmin idxmin min_by",
    "arg_max": "argmax idxmax max_by",
    "nunique": "distinct count_distinct distinct_count unique n_unique uniq countdistinct",
    "mode": "most_common most_frequent",
    "median": "med middle",
    "quantile": "percentile quantiles percentile_cont quantile_cont percentiles",
    "top": "nlargest top_k topk",
    "bottom": "nsmallest bottom_k bottomk",
    "cov": "covariance covar covar_samp",
    "corr": "correlation pearson",
}
SYNONYMS = {other: name for name, others in _ALSO_CALLED.items() for other in others.split()}
"""What other tools call a function -> what it is called here."""
