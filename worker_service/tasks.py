"""The arq functions. They only hand over.

No unit ever runs inside an arq job, so that none of arq's timeouts, retries or cancellations can reach it,
and a message leaves Redis as soon as it is heard.
"""

from typing import Any

from shared.doorbell import Doorbell
from worker_service.runner import Runner


async def work(ctx: dict[str, Any], unit_id: int) -> None:  # noqa: ARG001  # the message's shape
    """There may be work, such as unit *unit_id*; the slot takes whichever is the fairest."""
    runner: Runner = ctx["runner"]
    runner.take()


async def refused(ctx: dict[str, Any], reason: str) -> None:
    """Stands in for a message that came from no dispatcher."""
    doorbell: Doorbell = ctx["doorbell"]
    await doorbell.refuse(reason)
