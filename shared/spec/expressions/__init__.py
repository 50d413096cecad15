"""The language of `derive`, `where`, `compute` and `having`: syntax, functions and types. Pure."""

from shared.spec.expressions.check import check
from shared.spec.expressions.order import kept_texts, ordered_texts
from shared.spec.expressions.syntax import parse
from shared.spec.expressions.tree import Expression, ExpressionError, Typed, columns, names

__all__ = [
    "Expression",
    "ExpressionError",
    "Typed",
    "check",
    "columns",
    "kept_texts",
    "names",
    "ordered_texts",
    "parse",
]
