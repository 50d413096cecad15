"""How messages reach the slots: arq's worker, with another way to take messages, and its two functions."""

from typing import Any, NoReturn

from arq.worker import Worker, func
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from shared.doorbell import QUEUE, REFUSED, WORK, Doorbell, deserialize, ring_of, serialize
from worker_service.slots import Slots

UNLIMITED_TRIES = 1_000_000
HAND_OVER_SECONDS = 30


class Puller(Worker):
    """Takes no more messages than there are free slots, and waits inside Redis while there is none.

    arq's own loop reads the first ids of the queue again and again, those in progress included. It asks for
    each whether it is free: many workers spend their time on each other's messages. This loop takes each id
    off the queue (docs/reliability.md). One that met a Redis error is thrown away.

    The functions only hand over. No unit ever runs inside an arq job, so none of arq's timeouts, retries or
    cancellations can reach one. And a message leaves Redis as soon as it is heard. While this loop waits for
    one, a request may take the last free slot. Then the message is sent again, for another worker.
    """

    def __init__(self, doorbell: Doorbell, slots: Slots) -> None:
        self._doorbell, self._slots = doorbell, slots
        self._unanswered: list[tuple[int, int]] = []
        super().__init__(
            functions=[
                func(function, name=name, keep_result=0, max_tries=UNLIMITED_TRIES)
                for name, function in ((WORK, self._work), (REFUSED, self._refused))
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
        )

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
        if self._unanswered:  # only now, since arq deletes the message when its function has ended
            await self._doorbell.ring(self._unanswered)
            self._unanswered = []

    async def _work(self, ctx: dict[str, Any], unit_id: int) -> None:
        """There may be work, such as this unit; the slot takes the fairest unit."""
        if self._slots.free > 0:
            self._slots.start_one()
        else:
            self._unanswered.append((unit_id, ring_of(ctx["job_id"])))

    async def _refused(self, ctx: object, reason: str) -> None:  # noqa: ARG002  # arq gives both
        """Stands in for a message that no dispatcher has sent."""
        await self._doorbell.refuse(reason)
