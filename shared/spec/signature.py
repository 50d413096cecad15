"""The signature of an aggregate function: parameters, accepted types, and rules for the result's type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from shared.spec.types import FLOAT64, DataType, Kind


@dataclass(frozen=True, slots=True)
class Accepts:
    """A set of column kinds and its name in messages; strings of such a column must parse as *parsed_as*.

    *ordered*: the function asks which value is greater, and the order of texts is not that of numbers.
    """

    name: str
    kinds: frozenset[Kind]
    parsed_as: Kind = "string"
    ordered: bool = False


NUMBER = Accepts("a number", frozenset({"int64", "float64", "decimal"}), "float64")
TIME = Accepts("a date or a timestamp", frozenset({"date", "timestamp", "timestamptz"}), "timestamp")
TRUTH = Accepts("a bool", frozenset({"bool"}), "bool")
ANYTHING = Accepts(
    "any type",
    frozenset({"bool", "int64", "float64", "decimal", "string", "date", "timestamp", "timestamptz"}),
)

ORDERED = replace(ANYTHING, ordered=True)


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


def several(of: DataType | None) -> DataType:
    """An array of the column's type."""
    return replace(own(of), array=True)


def total(of: DataType | None) -> DataType:
    """int64 stays int64 (and may widen), decimals get 38 digits, floats stay floats."""
    return DataType("decimal", 38, of.scale) if of and of.kind == "decimal" else own(of)


def average(of: DataType | None) -> DataType:
    """Decimals get six more decimal places, or as many as fit in 38 digits beside those of the column."""
    return (
        DataType("decimal", 38, of.scale + min(6, 38 - of.precision))
        if of and of.kind == "decimal"
        else FLOAT64
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A signature. `result` gets the type of the first column parameter, None where it is not given.

    `default_name` is a template over the parameters. `may_widen` holds the kinds for which an int64 result
    becomes decimal(38,0) when a group needs it. `lists` says that its states hold lists of values.
    `also_called` are names in other tools, for guesses. The texts are for the docs; `nulls` is about null,
    NaN and infinities.
    """

    name: str
    parameters: Mapping[str, Parameter]
    result: Rule
    result_text: str
    summary: str
    nulls: str
    exactness: str = "exact"
    also_called: str = ""
    default_name: str = "{fn}_{column}"
    may_widen: frozenset[Kind] = field(default_factory=frozenset)
    lists: bool = False

    @property
    def first_accepts(self) -> Accepts:
        """The accepted types of the first parameter, which names a column in every function."""
        first = next(iter(self.parameters.values()))
        assert first.accepts is not None, "every function begins with a column"
        return first.accepts

    def fault(self, parameter: str, *, given: bool) -> str | None:
        """The message if *parameter* must not be given, or must be; else None."""
        declared = self.parameters.get(parameter)
        if given and declared is None:
            return f"{self.name} has no parameter {parameter}; it takes {', '.join(self.parameters)}"
        if not given and declared is not None and declared.required:
            return f"{self.name} needs {parameter}"
        return None

    def name_for(self, given: Mapping[str, str]) -> str:
        """The default result name; *given* holds the column parameters that the spec sets."""
        return self.default_name.format(fn=self.name, **given) if given else self.name
