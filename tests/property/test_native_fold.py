"""A chunk's states with the native library are those without it."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_kernels import KEYS, SEMANTICS, SOME, cut, frames, outcome
from tests.support.native import path
from tests.unit.kernels.queries import query
from worker_service.kernels import Fold, combine, rows_in


def folded(parts, asked, flushed, setting):
    """(the states, flushed after some of the frames; rows without a group)."""
    with path(setting):
        fold, states = Fold(asked, 3), []
        for part, flush in zip(parts, flushed, strict=True):
            fold.add(part)
            if flush:
                states.append(fold.flush())
        states.append(fold.finish())
        return states, fold.rows_dropped_null_key


def columns_of(states, asked):
    """The combined states, without order; a column that is zero everywhere may be absent."""
    rows = combine(states, asked).to_pylist()
    return sorted(
        sorted(f"{name} {unordered(value)!r}" for name, value in row.items() if value != 0) for row in rows
    )


def unordered(value):
    """A list is the values of a group, whose order is arbitrary."""
    return sorted(map(repr, value)) if isinstance(value, list) else value


@settings(max_examples=150, deadline=None)
@given(
    frames(),
    KEYS,
    SEMANTICS,
    SOME,
    st.lists(st.tuples(st.integers(0, 1000), st.booleans()), max_size=6),
    st.sets(st.integers(0, 7)),
)
def test_the_library_changes_no_bit_of_the_states(frame, keys, semantics, aggregates, cuts, conditional):
    asked = query(frame, keys, aggregates, semantics)
    asked = replace(
        asked,
        aggregates=tuple(
            replace(aggregate, where="b") if i in conditional and aggregate.inputs else aggregate
            for i, aggregate in enumerate(asked.aggregates)
        ),
    )
    parts = cut(frame, [row for row, _ in cuts])
    flushed = [*(flush for _, flush in cuts), False]
    native, plain = (folded(parts, asked, flushed, setting) for setting in ("require", "off"))
    assert native[1] == plain[1]
    assert sum(map(rows_in, native[0])) == sum(map(rows_in, plain[0])) == frame.num_rows - native[1]
    assert outcome(combine(native[0], asked), asked) == outcome(combine(plain[0], asked), asked)
    assert columns_of(native[0], asked) == columns_of(plain[0], asked)
