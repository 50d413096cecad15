"""How many connections to Postgres each service may open: the sizes of its pools."""

ANSWERS, STREAMS, HEALTH = 10, 8, 1
"""Those of a gateway: for answers, for rows that are being sent, and for health checks."""
GATEWAY = ANSWERS + STREAMS + HEALTH
HEARTBEAT = 1
OPERATOR = 1
"""A command such as `verify` or `migrate`."""


def of_work(slots: int) -> int:
    """The connections with which a worker claims and commits."""
    return slots * 2 + 4


def of_worker(slots: int) -> int:
    return of_work(slots) + HEARTBEAT
