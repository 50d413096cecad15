"""All kernels by the name of their function, and the states that the aggregates of a query share."""

from dataclasses import dataclass
from typing import TypeAlias

from shared.spec.query import Aggregate, Query
from worker_service.kernels.aggregates.declaration import Kernel, State
from worker_service.kernels.aggregates.distributions import DISTRIBUTIONS
from worker_service.kernels.aggregates.extremes import EXTREMES
from worker_service.kernels.aggregates.moments import MOMENTS
from worker_service.kernels.aggregates.pairs import PAIRS
from worker_service.kernels.aggregates.picks import PICKS
from worker_service.kernels.aggregates.ranked import RANKED

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel for kernel in (*MOMENTS, *EXTREMES, *PICKS, *PAIRS, *DISTRIBUTIONS, *RANKED)
}


@dataclass(frozen=True, slots=True)
class SharedStates:
    """The states of all aggregates with the same input columns and the same condition, each state once.

    In a table of states its columns are named `<prefix>.<state>`.
    """

    columns: tuple[str, ...]
    where: str | None
    prefix: str
    states: tuple[State, ...]


Source: TypeAlias = tuple[tuple[str, ...], str | None]
"""The input columns of an aggregate, and its condition."""


def source_of(aggregate: Aggregate) -> Source:
    return aggregate.columns, aggregate.where


def shared_states(query: Query) -> dict[Source, SharedStates]:
    """The prefix is `a<i>`, with the position of the first aggregate of the source."""
    found: dict[Source, SharedStates] = {}
    for i, aggregate in enumerate(query.aggregates):
        if aggregate.columns:
            source = source_of(aggregate)
            known = found.get(source, SharedStates(*source, f"a{i}", ()))
            states = dict.fromkeys((*known.states, *KERNELS[aggregate.fn].states(aggregate)))
            found[source] = SharedStates(*source, known.prefix, tuple(states))
    return found
