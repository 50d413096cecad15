"""Every aggregate that is computed, by name; and which states of which columns a query needs."""

from dataclasses import dataclass

from shared.spec.query import Query
from worker_service.kernels.basic import BASIC
from worker_service.kernels.declaration import Kernel, State
from worker_service.kernels.moments import MOMENTS

KERNELS: dict[str, Kernel] = {kernel.name: kernel for kernel in (*BASIC, *MOMENTS)}


@dataclass(frozen=True, slots=True)
class Input:
    """One aggregated column: its states, each once however many aggregates share them, are named `<prefix>.<state>`."""

    column: str
    prefix: str
    states: tuple[State, ...]


def inputs(query: Query) -> list[Input]:
    """The aggregated columns; the prefix carries the position of the first aggregate of each."""
    columns = [aggregate.column for aggregate in query.aggregates]
    found = []
    for column in dict.fromkeys(columns):
        if column is not None:
            states = (state for a in query.aggregates if a.column == column for state in KERNELS[a.fn].states)
            found.append(Input(column, f"a{columns.index(column)}", tuple(dict.fromkeys(states))))
    return found
