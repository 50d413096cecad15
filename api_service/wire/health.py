"""The documents of the health checks."""

from typing import Literal

import msgspec


class LifeDocument(msgspec.Struct, frozen=True):
    status: Literal["ok"] = "ok"


class WorkerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """`able` are those of the `live` workers that can take work."""

    live: int
    able: int


class ReadinessDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Without Redis the gateway is only `degraded`: the workers find its jobs in Postgres."""

    status: Literal["ok", "degraded"]
    postgres: Literal["ok"] = "ok"
    redis: Literal["ok", "away"]
    workers: WorkerCounts
