"""The functions of expressions: their parameters, and the guesses at a name that is none of them.

A parameter is an operand, which is an expression, or a setting, which is a literal. The rule for the result's
type is beside the checks, in `check`; how a function is computed is in the worker's kernels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.spec import functions as aggregates
from shared.spec.expressions import settings
from shared.spec.expressions.tree import Column, Expression, ExpressionError, Literal
from shared.spec.names import did_you_mean, quote
from shared.spec.types import Kind

Kinds = frozenset[Kind]
NUMBERS: Kinds = frozenset({"int64", "float64", "decimal"})
TEXTS: Kinds = frozenset({"string"})
TRUTHS: Kinds = frozenset({"bool"})
MOMENTS: Kinds = frozenset({"timestamp", "timestamptz"})
TIMES: Kinds = MOMENTS | {"date"}
ORDERED: Kinds = NUMBERS | TEXTS | TIMES
ANYTHING: Kinds = ORDERED | TRUTHS

KINDS: Mapping[Kinds, str] = {
    NUMBERS: "a number",
    TEXTS: "a string",
    TRUTHS: "a bool",
    MOMENTS: "a timestamp",
    TIMES: "a date or timestamp",
    ORDERED: "a number, string, date or timestamp",
    ANYTHING: "a value",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An operand has `accepts`, a setting `reads`, which raises ValueError for a literal that it refuses.

    `alike` operands are brought to one type. The last parameter may be `repeated`, or have a `default`.
    """

    name: str
    accepts: Kinds = frozenset()
    reads: Callable[[object], str | int] | None = None
    alike: bool = False
    repeated: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """`also_called` are names in other tools."""

    name: str
    parameters: tuple[Parameter, ...]
    summary: str
    also_called: str = ""

    @property
    def signature(self) -> str:
        shown = ", ".join(
            f"[{each.name}]" if each.optional else f"{each.name}, …" if each.repeated else each.name
            for each in self.parameters
        )
        return f"{self.name}({shown})"

    @property
    def least(self) -> int:
        return sum(not each.optional for each in self.parameters)

    def takes(self, count: int) -> bool:
        most = count if self.parameters[-1].repeated else len(self.parameters)
        return self.least <= count <= most

    def parameter(self, index: int) -> Parameter:
        return self.parameters[min(index, len(self.parameters) - 1)]


def _operand(name: str, accepts: Kinds, *, alike: bool = False, repeated: bool = False) -> Parameter:
    return Parameter(name=name, accepts=accepts, alike=alike, repeated=repeated)


def _setting(name: str, reads: Callable[[object], str | int], *, optional: bool = False) -> Parameter:
    return Parameter(name=name, reads=reads, optional=optional)


_TEXT, _NUMBER, _TIME = _operand("text", TEXTS), _operand("number", NUMBERS), _operand("time", TIMES)
_MOMENT, _ANY = _operand("time", MOMENTS), _operand("value", ANYTHING)
_DIGITS = _setting("digits", settings.digits, optional=True)
_UNIT, _TYPE = _setting("unit", settings.unit), _setting("type", settings.type_name)
_PATTERN, _POSITION = _setting("pattern", settings.pattern), _setting("number", settings.position)


def _alike(accepts: Kinds, *shown: str) -> tuple[Parameter, ...]:
    return tuple(_operand(name, accepts, alike=True) for name in shown)


def _many(accepts: Kinds) -> tuple[Parameter, ...]:
    first, second = _alike(accepts, "value", "value")
    return first, Parameter(name=second.name, accepts=accepts, alike=True, repeated=True)


_TABLE = (
    Function(
        "coalesce", _many(ANYTHING), "The first value that is not null.", "ifnull nvl fillna combine_first"
    ),
    Function("nullif", (_ANY, _operand("other", ANYTHING)), "Null where both are equal, else the value."),
    Function(
        "if_else",
        (_operand("condition", TRUTHS), *_alike(ANYTHING, "value", "other")),
        "The value where the condition is true, else the other one, also where it is null.",
        "iif iff ifelse where case when decode cond",
    ),
    Function("is_null", (_ANY,), "Whether the value is null.", "isnull isna is_na isnan missing ismissing"),
    Function("abs", (_NUMBER,), "The number without its sign.", "absolute fabs"),
    Function(
        "round",
        (_NUMBER, _DIGITS),
        "The number with so many decimal digits (0), half to even.",
        "rint round_even bround",
    ),
    Function("floor", (_NUMBER,), "The largest whole number that is not above.", "trunc int rounddown"),
    Function("ceil", (_NUMBER,), "The smallest whole number that is not below.", "ceiling roundup"),
    Function("sqrt", (_NUMBER,), "The square root; a negative number is an error.", "square_root"),
    Function("least", _many(ORDERED), "The smallest value; nulls are passed over.", "min minimum"),
    Function("greatest", _many(ORDERED), "The largest value; nulls are passed over.", "max maximum"),
    Function("lower", (_TEXT,), "The text in lower case.", "lcase tolower casefold downcase"),
    Function("upper", (_TEXT,), "The text in upper case.", "ucase toupper upcase"),
    Function("trim", (_TEXT,), "The text without white space at both ends.", "strip btrim ltrim rtrim"),
    Function("length", (_TEXT,), "The number of characters.", "len char_length character_length strlen"),
    Function(
        "substr",
        (_TEXT, _setting("start", settings.position), _setting("length", settings.size, optional=True)),
        "The characters from the start on, which counts from 1.",
        "substring mid slice left",
    ),
    Function(
        "replace",
        (_TEXT, _setting("old", settings.some_text), _setting("new", settings.any_text)),
        "The text with every old replaced by new.",
        "translate",
    ),
    Function(
        "split_part",
        (_TEXT, _setting("separator", settings.some_text), _POSITION),
        "The part with this number, from 1, between separators; the empty text if there are fewer.",
        "split string_split",
    ),
    Function(
        "concat",
        (_TEXT, _operand("text", TEXTS, repeated=True)),
        "The texts one behind the other; null if one of them is.",
        "concat_ws cat join paste",
    ),
    Function(
        "starts_with",
        (_TEXT, _setting("start", settings.any_text)),
        "Whether the text begins so.",
        "startswith prefix",
    ),
    Function(
        "ends_with",
        (_TEXT, _setting("end", settings.any_text)),
        "Whether the text ends so.",
        "endswith suffix",
    ),
    Function(
        "contains",
        (_TEXT, _setting("part", settings.any_text)),
        "Whether the text has this in it.",
        "like ilike instr strpos position find includes",
    ),
    Function(
        "matches",
        (_TEXT, _PATTERN),
        "Whether the pattern is found anywhere in the text.",
        "match regexp_matches regexp_like regex rlike regexp_full_match fullmatch search",
    ),
    Function(
        "extract",
        (_TEXT, _PATTERN),
        "The first match: its first group, or all of it without a group; null if there is none.",
        "regexp_extract regexp_substr findall",
    ),
    Function("year", (_TIME,), "The year.", "yyyy"),
    Function("quarter", (_TIME,), "The quarter, 1 to 4.", "qtr"),
    Function("month", (_TIME,), "The month, 1 to 12.", "mon"),
    Function("week", (_TIME,), "The week of ISO 8601, 1 to 53.", "weekofyear isoweek week_of_year"),
    Function("day", (_TIME,), "The day of the month, 1 to 31.", "dayofmonth day_of_month mday"),
    Function("hour", (_MOMENT,), "The hour, 0 to 23.", "hours"),
    Function("minute", (_MOMENT,), "The minute, 0 to 59.", "minutes"),
    Function("second", (_MOMENT,), "The second, 0 to 59, without its fraction.", "seconds"),
    Function(
        "weekday",
        (_TIME,),
        "The day of the week: 0 is Monday, 6 is Sunday.",
        "dayofweek day_of_week dow isodow wday",
    ),
    Function(
        "date_trunc",
        (_UNIT, _TIME),
        "The beginning of the unit: a date from `day` on, else of the time's own type.",
        "trunc_date datetrunc time_bucket floor_date",
    ),
    Function(
        "date_diff",
        (_UNIT, *_alike(TIMES, "start", "end")),
        "How many beginnings of the unit lie between the two: `end` less `start`.",
        "datediff timestampdiff date_sub datesub age",
    ),
    Function(
        "strptime",
        (_TEXT, _setting("format", settings.layout)),
        "The timestamp of the text in this format; with `%z` the timestamptz.",
        "to_date to_timestamp to_datetime parse_date str_to_date todate",
    ),
    Function(
        "cast", (_ANY, _TYPE), "The value as another type; an error where it has none.", "astype convert"
    ),
    Function(
        "try_cast", (_ANY, _TYPE), "As `cast`, but null where the value has none.", "safe_cast to_numeric"
    ),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _TABLE}
SYNONYMS = {word: function.name for function in _TABLE for word in function.also_called.split()}
_INSTEAD = {
    "not": "not x",
    "notnull": "not is_null(x)",
    "notna": "not is_null(x)",
    "is_not_null": "not is_null(x)",
    "isin": "x in ('a', 'b')",
    "between": "low <= x <= high",
    "pow": "x ** 2",
    "power": "x ** 2",
    "square": "x ** 2",
    "mod": "a % b",
    "div": "a // b",
    "str": "cast(x, 'string')",
    "float": "cast(x, 'float64')",
    "bool": "cast(x, 'bool')",
    "date": "cast(x, 'date')",
    "timestamp": "cast(x, 'timestamp')",
    "right": "extract(text, '.{0,3}$')",
    "isdigit": "matches(text, '^[0-9]+$')",
}


def check_arguments(function: Function, arguments: Sequence[Expression], at: int) -> None:
    """Raise ExpressionError for their number, or for a setting that is no literal or a wrong one."""
    if not function.takes(len(arguments)):
        plural = "s" * (len(arguments) != 1)
        raise ExpressionError(at, f"{function.signature} does not take {len(arguments)} argument{plural}")
    for index, argument in enumerate(arguments):
        parameter = function.parameter(index)
        if parameter.reads is None:
            continue
        needs = f"{parameter.name} of {function.signature} needs"
        if not isinstance(argument, Literal):
            meant = f"; did you mean '{argument.name}'?" if isinstance(argument, Column) else ""
            raise ExpressionError(argument.at, f"{needs} a literal{meant}")
        try:
            parameter.reads(argument.value)
        except ValueError as error:
            raise ExpressionError(argument.at, f"{needs} {error}") from error


def not_a_function(name: str, at: int) -> ExpressionError | None:
    """The error, with a guess, if *name* is no function of expressions."""
    if name in FUNCTIONS:
        return None
    unknown, folded = f"unknown function {quote(name)}", name.lower()
    if instead := _INSTEAD.get(folded):
        return ExpressionError(at, f"{unknown}; did you mean {instead}?")
    if name in aggregates.FUNCTIONS or (folded in aggregates.SYNONYMS and folded not in SYNONYMS):
        meant = SYNONYMS.get(folded) or aggregates.SYNONYMS.get(folded)
        guess = f"; did you mean {quote(meant)}?" if meant else "."
        return ExpressionError(
            at, f"{unknown}{guess} Aggregates are listed in aggregates; compute and having use their names"
        )
    guess = did_you_mean(name, FUNCTIONS, SYNONYMS)
    return ExpressionError(at, f"{unknown}{guess or '; there are ' + ', '.join(FUNCTIONS)}")


def not_a_method(name: str, at: int) -> ExpressionError:
    """The error for `x.name(…)`."""
    meant = name if name in FUNCTIONS else SYNONYMS.get(name.lower())
    guess = f"; did you mean {meant}(x)?" if meant else ""
    instead = f"; did you mean {_INSTEAD[name.lower()]}?" if name.lower() in _INSTEAD else guess
    return ExpressionError(at, f"values have no methods such as .{name[:40]}(){instead}")
