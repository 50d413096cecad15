"""Every aggregate that is computed, by name; and which states of which columns a query needs."""

from dataclasses import dataclass

from shared.spec.query import Query
from worker_service.kernels.basic import BASIC
from worker_service.kernels.declaration import Kernel, State
from worker_service.kernels.distributions import DISTRIBUTIONS
from worker_service.kernels.moments import MOMENTS
from worker_service.kernels.pairs import PAIRS
from worker_service.kernels.picks import PICKS
from worker_service.kernels.ranked import RANKED

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel for kernel in (*BASIC, *MOMENTS, *PICKS, *PAIRS, *DISTRIBUTIONS, *RANKED)
}


@dataclass(frozen=True, slots=True)
class Source:
    """Columns that are aggregated together: their states, each once however many aggregates share them, are named `<prefix>.<state>`."""

    columns: tuple[str, ...]
    prefix: str
    states: tuple[State, ...]


def sources(query: Query) -> dict[tuple[str, ...], Source]:
    """By their columns; the prefix carries the position of the first aggregate of each."""
    found: dict[tuple[str, ...], Source] = {}
    for i, aggregate in enumerate(query.aggregates):
        if columns := aggregate.columns:
            known = found.get(columns, Source(columns, f"a{i}", ()))
            found[columns] = Source(
                columns,
                known.prefix,
                tuple(dict.fromkeys((*known.states, *KERNELS[aggregate.fn].states(aggregate)))),
            )
    return found
