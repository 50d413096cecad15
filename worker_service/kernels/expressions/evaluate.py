"""Theory of operation.

An expression is evaluated node by node, each for all rows at once. A node's value is an array, or a scalar
if it names no column. Beside it is the error of each row: the number of the operation that failed, 0 for
none. A message is only made for a row that is asked for.

An operation fails in a row where one of its operands does, with the error of the first. `and`, `or`,
`if_else` and `coalesce` take the errors of those operands that the row needs, and of no others.
So the value and the error of a row depend on that row alone.

A node that names just one column, of strings with a dictionary, is evaluated on the dictionary, and each row
takes its entry. A node that is an operand twice is evaluated once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.expressions import Typed
from shared.spec.types import DataType
from worker_service.arrow import Array, Mask, arrow_type, canonical
from worker_service.kernels.expressions import arithmetic, casts, comparisons, texts, times
from worker_service.kernels.expressions.lazy import LAZY
from worker_service.kernels.expressions.operands import (
    Failing,
    Kernel,
    Operand,
    Outcome,
    array,
    shown,
    without,
)
from worker_service.kernels.expressions.values import Errors, Value, column, first, plain

KERNELS: Mapping[str, Kernel] = {
    **arithmetic.KERNELS,
    **comparisons.KERNELS,
    **texts.KERNELS,
    **times.KERNELS,
    **casts.KERNELS,
}
Reason = Callable[[int], str]
_TRY = "try_"


class ParseText(Protocol):
    """Values of a type from texts: a null for each that is none, and a mask of those, None if all are.

    *layout* is a pattern of strptime, None for the type's own grammar. Times without an offset are those of
    *zone*.
    """

    def __call__(
        self,
        text: Array,
        target: DataType,
        layout: str | None,
        zone: str,
    ) -> tuple[Array, Mask | None]: ...


@dataclass(frozen=True, slots=True)
class Evaluated:
    """`values` has the type of the expression, and is null where `bad`; `bad` is None if no row is.

    A string column that is the whole expression keeps its dictionary.
    """

    values: Array
    bad: Mask | None
    reason: Reason
    """Of a bad row, counted from 0: a message that begins with the column of the expression."""

    def errors(self) -> Iterator[tuple[int, str]]:
        """The bad rows in their order, each with its message."""
        rows = [] if self.bad is None else np.flatnonzero(self.bad).tolist()
        return ((row, self.reason(row)) for row in rows)


@dataclass(slots=True)
class _Run:
    """The evaluation of an expression for *rows* rows."""

    columns: Mapping[str, Array]
    rows: int
    parse: ParseText
    named: Mapping[Typed, frozenset[str]]
    shared: frozenset[Typed]
    known: dict[Typed, Value] = field(default_factory=dict)
    reasons: list[Reason] = field(default_factory=list)

    def below(self, columns: Mapping[str, Array], rows: int) -> "_Run":
        return _Run(columns, rows, self.parse, self.named, self.shared)


def evaluate(typed: Typed, columns: Mapping[str, Array], rows: int, parse: ParseText) -> Evaluated:
    """The values of *typed* in each row. Raises ExpressionError for a pattern that RE2 refuses."""
    named: dict[Typed, frozenset[str]] = {}
    uses: Counter[Typed] = Counter()
    _survey(typed, named, uses)
    run = _Run(columns, rows, parse, named, frozenset(node for node, count in uses.items() if count > 1))
    value = _value(typed, run)
    values = column(value.data, rows)
    if value.errors is None or not value.errors.any():
        return Evaluated(canonical(values), None, lambda _: "")
    errors = np.broadcast_to(value.errors, rows)
    bad = errors != 0
    return Evaluated(canonical(without(values, bad)), bad, lambda row: run.reasons[int(errors[row]) - 1](row))


def probe(typed: Typed, parse: ParseText) -> None:
    """Evaluate one row of nulls, so that RE2 sees the patterns. Raises ExpressionError."""
    types: dict[str, DataType] = {}
    _types(typed, types, set())
    evaluate(typed, {name: pa.nulls(1, arrow_type(kind)) for name, kind in types.items()}, 1, parse)


def _types(node: Typed, found: dict[str, DataType], seen: set[Typed]) -> None:
    if node.op == "column":
        found[str(node.settings[0])] = node.type
    for operand in node.operands:
        if operand not in seen:
            seen.add(operand)
            _types(operand, found, seen)


def _survey(node: Typed, named: dict[Typed, frozenset[str]], uses: "Counter[Typed]") -> None:
    """The columns below each node, and how often it is an operand."""
    uses[node] += 1
    if uses[node] > 1:
        return
    for operand in node.operands:
        _survey(operand, named, uses)
    own = {str(node.settings[0])} if node.op == "column" else set()
    named[node] = frozenset(own.union(*(named[operand] for operand in node.operands)))


def _value(node: Typed, run: _Run) -> Value:
    if node in run.known:
        return run.known[node]
    value = _fresh(node, run)
    if node in run.shared:
        run.known[node] = value
    return value


def _fresh(node: Typed, run: _Run) -> Value:
    if node.op == "literal":
        return Value(pa.scalar(node.value, arrow_type(node.type)))
    if node.op == "column":
        return Value(run.columns[str(node.settings[0])])
    names = run.named[node]
    if not names and run.columns:
        return _constant(node, run)
    if len(names) == 1:
        [name] = names
        encoded = run.columns[name]
        if isinstance(encoded, pa.DictionaryArray) and len(encoded.dictionary) < run.rows:
            return _by_entry(node, name, encoded, run)
    values = [_value(operand, run) for operand in node.operands]
    return LAZY[node.op](values, run.rows) if node.op in LAZY else _strict(node, values, run)


def _constant(node: Typed, run: _Run) -> Value:
    inner = run.below({}, 1)
    value = _value(node, inner)
    return Value(array(value.data)[0], _adopted(value.errors, inner, run, lambda _: 0))


def _by_entry(node: Typed, name: str, encoded: "pa.DictionaryArray[Any, Any]", run: _Run) -> Value:
    """The node on the dictionary and one null, which stands for null indices."""
    entries = pa.concat_arrays([encoded.dictionary, pa.nulls(1, encoded.dictionary.type)])
    inner = run.below({name: entries}, len(entries))
    value = _value(node, inner)
    indices = pc.fill_null(encoded.indices.cast(pa.int64()), len(entries) - 1)
    at = np.asarray(indices)
    errors = None if value.errors is None else np.broadcast_to(value.errors, len(entries))[at]
    data = value.data if isinstance(value.data, pa.Scalar) else value.data.take(indices)
    return Value(data, _adopted(errors, inner, run, lambda row: int(at[row])))


def _adopted(errors: Errors, inner: _Run, run: _Run, at: Callable[[int], int]) -> Errors:
    """The errors of an inner run with the numbers that they have in the outer one."""
    if errors is None or not errors.any():
        return None
    before = len(run.reasons)
    run.reasons.extend(_moved(reason, at) for reason in inner.reasons)
    return np.where(errors, errors + before, 0).astype(np.int32)


def _moved(reason: Reason, at: Callable[[int], int]) -> Reason:
    return lambda row: reason(at(row))


def _strict(node: Typed, values: Sequence[Value], run: _Run) -> Value:
    operands = [plain(value.data) for value in values]
    attempt = node.op.startswith(_TRY)
    op = node.op.removeprefix(_TRY)
    if all(isinstance(operand, pa.Scalar) for operand in operands):
        operands[0] = column(operands[0], run.rows)
    outcome = _parsed(node, operands[0], run.parse) if op == "parse" else KERNELS[op](node, operands)
    errors = None
    for value in values:
        errors = first(errors, value.errors)
    if not isinstance(outcome, Failing):
        return Value(outcome, errors)
    if attempt:
        return Value(without(outcome.values, outcome.bad), errors)
    return Value(outcome.values, first(errors, _failed(node, outcome, run)))


def _parsed(node: Typed, operand: Operand, parse: ParseText) -> Outcome:
    text = array(operand)
    layout, zone = node.settings
    values, bad = parse(text, node.type, None if layout is None else str(layout), str(zone))
    if bad is None or not bad.any():
        return values
    shape = f"{node.type}" if layout is None else f"{node.type} of the format '{layout}'"
    return Failing(values, bad, lambda row: f"{shown(text, row)} is no {shape}")


def _failed(node: Typed, outcome: Failing, run: _Run) -> Errors:
    run.reasons.append(lambda row: f"column {node.at}: {outcome.reason(row)}")
    return np.where(outcome.bad, len(run.reasons), 0).astype(np.int32)
