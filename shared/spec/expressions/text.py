"""The text of an expression in a spec, parsed once."""

from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from shared.spec.expressions.syntax import parse
from shared.spec.expressions.tree import Expression, ExpressionError

MAX_LETTERS = 10_000


class ExpressionText(str):
    """A text that is an expression, with its `tree`."""

    __slots__ = ("tree",)
    tree: Expression

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls._parsed, core_schema.str_schema(min_length=1, max_length=MAX_LETTERS)
        )

    @classmethod
    def _parsed(cls, text: str) -> Self:
        parsed = cls(text)
        try:
            parsed.tree = parse(text)
        except ExpressionError as error:
            raise PydanticCustomError("spec", "{detail}", {"detail": str(error)}) from error
        return parsed
