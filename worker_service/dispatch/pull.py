"""How messages reach the slots: the arq functions, and arq's worker with another way to take messages."""

from typing import Any, NoReturn

from arq.worker import Worker, func
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from shared.doorbell import QUEUE, Doorbell, deserialize, serialize
from worker_service.slots import Slots

UNLIMITED_TRIES = 1_000_000
HAND_OVER_SECONDS = 30


async def work(ctx: dict[str, Any], unit_id: int) -> None:  # noqa: ARG001  # the message's shape
    """There may be work, such as unit *unit_id*; the slot takes the fairest unit.

    It only hands over. No unit ever runs inside an arq job, so none of arq's timeouts, retries or
    cancellations can reach one, and a message leaves Redis as soon as it is heard.
    """
    slots: Slots = ctx["slots"]
    slots.start_one()


async def refused(ctx: dict[str, Any], reason: str) -> None:
    """Stands in for a message that no dispatcher has sent."""
    doorbell: Doorbell = ctx["doorbell"]
    await doorbell.refuse(reason)


class Puller(Worker):
    """Takes no more messages than there are free slots, and waits inside Redis while there is none.

    arq's own loop reads the first ids of the queue again and again, those in progress included, and asks for
    each whether it is free: with many workers they spend their time on each other's messages. This one takes
    each id off the queue (docs/reliability.md). One that met a Redis error is thrown away.
    """

    def __init__(self, doorbell: Doorbell, slots: Slots) -> None:
        super().__init__(
            functions=[
                func(function, keep_result=0, max_tries=UNLIMITED_TRIES) for function in (work, refused)
            ],
            queue_name=QUEUE,
            redis_pool=doorbell.redis,
            handle_signals=False,
            keep_result=0,
            max_tries=UNLIMITED_TRIES,
            job_timeout=HAND_OVER_SECONDS,
            job_serializer=serialize,
            job_deserializer=deserialize,
            log_results=False,
            ctx={"slots": slots, "doorbell": doorbell},
        )
        self._doorbell, self._slots = doorbell, slots

    async def main(self) -> NoReturn:
        while True:
            free = await self._slots.until_free()
            for message in await self._doorbell.take(free) or await self._doorbell.take_one():
                await self._hand_over(message)

    async def _hand_over(self, message: str) -> None:
        try:
            await self.run_job(message, 0)
        except (OutOfMemoryError, ReadOnlyError):
            raise
        except ResponseError as error:  # one of arq's own keys is of another type than arq made it
            await self._doorbell.refuse(str(error), message.encode())
