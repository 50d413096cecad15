"""What the signature of an aggregate function is made of: parameters, accepted types, rules for the result's type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from shared.spec.types import FLOAT64, DataType, Kind


@dataclass(frozen=True, slots=True)
class Accepts:
    """A set of column kinds, how a message calls it, and the kind as which the text of such a column reads."""

    what: str
    kinds: frozenset[Kind]
    reads: Kind = "string"


NUMBER = Accepts("a number", frozenset({"int64", "float64", "decimal"}), "float64")
TRUTH = Accepts("a bool", frozenset({"bool"}), "bool")
ANYTHING = Accepts(
    "any type",
    frozenset({"bool", "int64", "float64", "decimal", "string", "date", "timestamp", "timestamptz"}),
)


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
    """int64 stays int64 (and may widen), decimals get every digit there is, floats stay floats."""
    return DataType("decimal", 38, of.scale) if of and of.kind == "decimal" else own(of)


def average(of: DataType | None) -> DataType:
    """Decimals get six more places, as far as 38 digits have room for them beside those of the column."""
    return (
        DataType("decimal", 38, of.scale + min(6, 38 - of.precision))
        if of and of.kind == "decimal"
        else FLOAT64
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A signature. `result` gets the type of the first column parameter, None where it is not given.

    `default_name` is a template over the parameters. `may_widen` holds the kinds for which an int64 result
    becomes decimal(38,0) when a group needs it. The texts are for the docs: *what* it is, how *exact*, what
    it makes of *missing* and odd values.
    """

    name: str
    parameters: Mapping[str, Parameter]
    result: Rule
    result_text: str
    what: str
    exact: str
    missing: str
    default_name: str = "{fn}_{column}"
    may_widen: frozenset[Kind] = field(default_factory=frozenset)

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
