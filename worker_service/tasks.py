"""The arq functions. They only hand over.

No unit ever runs inside an arq job, so that none of arq's timeouts, retries or cancellations can reach it, and a message
leaves Redis as soon as it is heard.
"""

from typing import Any

import structlog

from worker_service.runner import Runner

log = structlog.get_logger()


async def work(ctx: dict[str, Any], unit_id: object) -> None:
    """There may be work: unit *unit_id*. Anything else in the message is refused; it came from no dispatcher."""
    runner: Runner = ctx["runner"]
    if isinstance(unit_id, int) and 0 < unit_id < 2**63:
        runner.take(unit_id)
    else:
        log.warning("doorbell.refused", reason="not a unit id")
