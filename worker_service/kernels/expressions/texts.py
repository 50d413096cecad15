"""The functions of texts, which count characters, and match patterns by RE2."""

from collections.abc import Callable
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.spec.expressions import ExpressionError, Typed
from worker_service.arrow import Array, Ints, Mask, numbers_of, string_bytes
from worker_service.kernels.expressions.operands import (
    Failing,
    Kernel,
    Operand,
    Operands,
    Outcome,
    array,
    both,
    present,
    without,
)

MOST_BYTES = 1 << 24
"""Of a text that a function makes longer."""


def _length(_: Typed, operands: Operands) -> Array:
    return pc.utf8_length(array(operands[0])).cast(pa.int64())


def _substr(node: Typed, operands: Operands) -> Array:
    start, *length = (int(setting or 0) for setting in node.settings)
    stop = start - 1 + length[0] if length else None
    return pc.utf8_slice_codeunits(operands[0], start - 1, stop)


def _replace(node: Typed, operands: Operands) -> Outcome:
    old, new = map(str, node.settings)
    text = array(operands[0])
    longer = len(new.encode()) - len(old.encode())
    if longer > 0:
        bytes_ = _bytes(text) + _counted(pc.count_substring(text, old)) * longer
        bad = _too_long(bytes_, present([text]))
        if bad is not None:
            values = pc.replace_substring(without(text, bad), old, new)
            return Failing(values, bad, _longer(node.op))
    return pc.replace_substring(text, old, new)


def _concat(node: Typed, operands: Operands) -> Outcome:
    bytes_ = reduce(np.add, map(_bytes, map(array, operands)))
    bad = _too_long(bytes_, present(operands))
    if bad is None:
        return _joined(operands)
    return Failing(_joined([without(array(operands[0]), bad), *operands[1:]]), bad, _longer(node.op))


def _joined(operands: Operands) -> Array:
    return pc.binary_join_element_wise(*operands, "", null_handling="emit_null")


def _bytes(text: Array) -> Ints:
    offsets, _ = string_bytes(text)
    return np.diff(offsets).astype(np.int64)


def _counted(counts: Array) -> Ints:
    found: Ints = numbers_of(pc.fill_null(counts, 0))
    return found


def _too_long(lengths: Ints, valid: Mask | None) -> Mask | None:
    """Raises MemoryError where the texts of a batch do not fit one Arrow array."""
    bad = both(np.array(lengths > MOST_BYTES, np.bool_), valid)
    assert bad is not None, "one of two masks"
    if int(np.where(bad, 0, lengths).sum()) >= 1 << 31:
        raise MemoryError
    return bad if bad.any() else None


def _longer(operation: str) -> Callable[[int], str]:
    return lambda _: f"{operation} makes a text of more than {MOST_BYTES:,} bytes"


def _split_part(node: Typed, operands: Operands) -> Array:
    separator, number = str(node.settings[0]), int(node.settings[1] or 0)
    parts = pc.split_pattern(array(operands[0]), separator)
    offsets = np.asarray(parts.offsets)
    at = offsets[:-1].astype(np.int64) + number - 1
    there = at < offsets[1:]
    found = parts.values.take(pa.array(np.where(there, at, 0), mask=~there))
    result = pc.fill_null(found, "")
    return pc.if_else(parts.is_valid(), result, pa.scalar(None, result.type)) if parts.null_count else result


def _matches(node: Typed, operands: Operands) -> Array:
    return _by_pattern(node, lambda pattern: pc.match_substring_regex(operands[0], pattern))


def _extract(node: Typed, operands: Operands) -> Array:
    return _by_pattern(node, lambda pattern: pc.struct_field(pc.extract_regex(operands[0], pattern), [0]))


def _by_pattern(node: Typed, apply: Callable[[str], Array]) -> Array:
    """Raises ExpressionError for a pattern that RE2 refuses."""
    try:
        return apply(str(node.settings[0]))
    except pa.ArrowInvalid as error:
        found = str(error).removeprefix("Invalid regular expression: ")
        raise ExpressionError(node.at, f"{node.op} needs a pattern of RE2: {found}") from error


def _plain(function: Callable[[Operand], Array]) -> Kernel:
    return lambda _, operands: function(operands[0])


def _with_literal(function: Callable[[Operand, str], Array]) -> Kernel:
    return lambda node, operands: function(operands[0], str(node.settings[0]))


KERNELS: dict[str, Kernel] = {
    "lower": _plain(pc.utf8_lower),
    "upper": _plain(pc.utf8_upper),
    "trim": _plain(pc.utf8_trim_whitespace),
    "length": _length,
    "substr": _substr,
    "replace": _replace,
    "split_part": _split_part,
    "concat": _concat,
    "starts_with": _with_literal(pc.starts_with),
    "ends_with": _with_literal(pc.ends_with),
    "contains": _with_literal(pc.match_substring),
    "matches": _matches,
    "extract": _extract,
}
