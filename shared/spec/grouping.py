"""`group_by` and `aggregates`: the keys and the values of the result.

A field that depends on others stands after them, because a validator sees only the fields before its own.
So every field is checked by itself, and one wrong parameter does not hide another.
"""

from decimal import Decimal
from functools import cached_property
from typing import Annotated

from pydantic import (
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from shared.spec import values as v
from shared.spec.expressions.text import ExpressionText
from shared.spec.faults import fault
from shared.spec.functions import FUNCTIONS
from shared.spec.names import result_name_fault
from shared.spec.objects import SpecObject


class TimeBucket(SpecObject):
    """A group key that cuts a time column into buckets of one width.

    `tz` is the zone whose clocks cut a timestamptz; None stands for `source.timezone`.
    """

    time_bucket: v.BucketWidth
    column: v.ColumnName
    tz: v.TimeZone | None = None
    as_: Annotated[v.ResultColumn | None, Field(alias="as", validate_default=True)] = None

    @field_validator("as_", mode="before")
    @classmethod
    def _default_name(cls, name: object, info: ValidationInfo) -> object:
        return info.data.get("column") if name is None else name


def _key_kind(value: object) -> str:
    return "bucket" if isinstance(value, dict | TimeBucket) else "column"


GroupKey = Annotated[
    Annotated[v.ResultColumn, Tag("column")] | Annotated[TimeBucket, Tag("bucket")], Discriminator(_key_kind)
]


def key_name(key: str | TimeBucket) -> str:
    """The result column that a group key becomes."""
    return key if isinstance(key, str) else key.as_ or key.column


def _q_kind(value: object) -> str:
    return "many" if isinstance(value, list | tuple) else "one"


_Fractions = Annotated[tuple[v.Fraction, ...], v.at_most(100), v.NOT_EMPTY]
Quantiles = Annotated[
    Annotated[v.Fraction, Tag("one")] | Annotated[_Fractions, Tag("many")], Discriminator(_q_kind)
]


COLUMN_PARAMETERS = ("column", "by", "y", "x")


class AggregateSpec(SpecObject):
    """One entry of `aggregates`.

    Parameters that its function does not have are None, and are left out of the JSON.
    """

    fn: v.FunctionName
    column: Annotated[v.ColumnName | None, Field(validate_default=True)] = None
    by: Annotated[v.ColumnName | None, Field(validate_default=True)] = None
    y: Annotated[v.ColumnName | None, Field(validate_default=True)] = None
    x: Annotated[v.ColumnName | None, Field(validate_default=True)] = None
    q: Annotated[Quantiles | None, Field(validate_default=True)] = None
    k: Annotated[v.Integer | None, Field(validate_default=True, ge=1, le=1000)] = None
    ddof: Annotated[v.Integer | None, Field(validate_default=True, ge=0, le=1_000_000)] = None
    where: ExpressionText | None = None
    as_: Annotated[str | None, Field(alias="as", validate_default=True)] = None

    @field_validator("column", "by", "y", "x", "q", "k", "ddof")
    @classmethod
    def _parameter(cls, value: object, info: ValidationInfo) -> object:
        function = FUNCTIONS.get(info.data.get("fn", ""))
        if function is None or info.field_name is None:
            return value
        if wrong := function.fault(info.field_name, given=value is not None):
            raise fault(wrong)
        declared = function.parameters.get(info.field_name)
        return declared.default if declared is not None and value is None else value

    @field_validator("as_")
    @classmethod
    def _name(cls, name: str | None, info: ValidationInfo) -> str | None:
        function = FUNCTIONS.get(info.data.get("fn", ""))
        if function is None or any(parameter not in info.data for parameter in function.parameters):
            return name  # a parameter that the name depends on is wrong already
        chosen = (
            function.name_for({p: info.data[p] for p in COLUMN_PARAMETERS if info.data.get(p) is not None})
            if name is None
            else name
        )
        if wrong := next(filter(None, map(result_name_fault, _columns(chosen, info.data.get("q")))), None):
            raise fault(f"{wrong}; choose another with as")
        return chosen

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {key: value for key, value in handler(self).items() if value is not None}

    @property
    def name(self) -> str:
        assert self.as_ is not None, "validation fills it in"
        return self.as_

    @property
    def columns(self) -> dict[str, str]:
        """Parameter -> the dataset's column that it names."""
        return {
            parameter: getattr(self, parameter)
            for parameter in COLUMN_PARAMETERS
            if getattr(self, parameter) is not None
        }

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The quantile of each result column; the median's where there is none to choose."""
        return self.q if isinstance(self.q, tuple) else (0.5 if self.q is None else self.q,)

    @cached_property
    def result_columns(self) -> list[str]:
        """The columns of the result: one, or one for each element where `q` is a list."""
        return _columns(self.name, self.q)


def _columns(name: str, q: object) -> list[str]:
    return [f"{name}_p{_percent(fraction)}" for fraction in q] if isinstance(q, tuple) else [name]


def _percent(fraction: float) -> str:
    """0.5 -> 50, 0.999 -> 99_9: the decimal digits that JSON shows, not those of the binary fraction."""
    return f"{(Decimal(repr(fraction)) * 100).normalize():f}".replace(".", "_")
