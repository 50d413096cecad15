"""When a unit is preempted: given back, uncharged, because a tenant without any lease waits.

Pure: ages come from Postgres' clock.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

PREEMPTIBLE = {"plan", "chunk"}
"""The kinds that may be preempted: only their child works.

What a merge or a publish has copied or indexed is not thrown away.
"""
SMALL_JOB_UNITS = 8
"""A job of more units gives way to any other job; a smaller one only to a tenant without any lease."""
MOST_DOUBLINGS = 12
"""A run of 10 s becomes 11 h: longer than any unit may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A lease of a live worker: *ran* since it was claimed.

    The unit was preempted *preemptions* times before.
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

    Each time the tenant pays that has the most leases, with its youngest, so its oldest work goes on. A lease
    is let alone for *protected*. The only one of its tenant is protected for longer: twice as long each time
    that its unit was preempted. So it ends whatever others submit.
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
