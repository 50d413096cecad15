"""All kernels by the name of their function, and the states that the aggregates of a query share."""

from dataclasses import dataclass

from shared.spec.query import Query
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
    """The states of all aggregates with the same input columns, each state once.

    In a table of states its columns are named `<prefix>.<state>`.
    """

    columns: tuple[str, ...]
    prefix: str
    states: tuple[State, ...]


def shared_states(query: Query) -> dict[tuple[str, ...], SharedStates]:
    """By input columns. The prefix is `a<i>`, with the position of the first aggregate of these columns."""
    found: dict[tuple[str, ...], SharedStates] = {}
    for i, aggregate in enumerate(query.aggregates):
        if columns := aggregate.columns:
            known = found.get(columns, SharedStates(columns, f"a{i}", ()))
            states = dict.fromkeys((*known.states, *KERNELS[aggregate.fn].states(aggregate)))
            found[columns] = SharedStates(columns, known.prefix, tuple(states))
    return found
