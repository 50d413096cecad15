"""Fairness between tenants: which job goes on undisturbed, and when a unit is preempted.

A preempted unit is given back, uncharged, because a tenant without any lease waits.

Pure: ages come from Postgres' clock.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

PREEMPTIBLE = {"plan", "chunk"}
"""The kinds that may be preempted: their work is in the child alone.

A merge has copied rows and a publish has built indexes: these are not thrown away.
"""
SMALL_JOB_UNITS = 8
"""A job of more units gives way to any other job; a smaller one only to a tenant without any lease."""
MOST_DOUBLINGS = 12
"""A run of 10 s becomes 11 h: longer than any unit may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A lease of a live worker.

    *ran* is the time since the claim, *preemptions* how often the unit was preempted before.
    """

    unit: int
    attempt: int
    worker: str
    tenant: str
    kind: str
    preemptions: int
    ran: timedelta


def preempted(leases: Sequence[Held], *, waiting: int, free: int, protected: timedelta) -> list[Held]:
    """The leases that make room for *waiting* tenants without a lease, beyond the *free* slots.

    Each time, the tenant with the most leases loses its youngest, so its oldest work goes on. A lease is not
    preempted within *protected*. The only lease of a tenant is protected for longer: twice as long for each
    time that its unit was preempted. So it ends, whatever other tenants submit.
    """
    left, chosen = list(leases), []
    for _ in range(waiting - free):
        held = Counter(lease.tenant for lease in left)
        among = [lease for lease in left if lease.kind in PREEMPTIBLE]
        most = max((held[lease.tenant] for lease in among), default=0)
        doublings = 0 if most > 1 else MOST_DOUBLINGS
        ripe = [
            lease
            for lease in among
            if held[lease.tenant] == most and lease.ran >= protected * 2 ** min(lease.preemptions, doublings)
        ]
        if not ripe:
            break
        chosen.append(min(ripe, key=lambda lease: (lease.ran, lease.unit)))
        left.remove(chosen[-1])
    return chosen
