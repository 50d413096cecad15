"""How messages reach the slots: arq's worker, with another way to take them."""

from arq.worker import Worker, func
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from shared.doorbell import QUEUE, deserialize, serialize
from worker_service.context import Context
from worker_service.runner import Runner
from worker_service.tasks import refused, work

NEVER_TOO_OFTEN = 1_000_000
HAND_OVER_SECONDS = 30


class Puller(Worker):
    """Takes no more messages than there are free slots, each off the queue, and waits inside Redis while there is none.

    arq's own loop reads the first ids of the queue, those in progress included, again and again, and asks for
    each whether it is free: with many workers they spend their time on each other's messages
    (docs/reliability.md).
    """

    def __init__(self, ctx: Context, runner: Runner) -> None:
        super().__init__(
            functions=[
                func(function, keep_result=0, max_tries=NEVER_TOO_OFTEN) for function in (work, refused)
            ],
            queue_name=QUEUE,
            redis_pool=ctx.doorbell.redis,
            handle_signals=False,
            keep_result=0,
            max_tries=NEVER_TOO_OFTEN,
            job_timeout=HAND_OVER_SECONDS,
            job_serializer=serialize,
            job_deserializer=deserialize,
            log_results=False,
            ctx={"runner": runner, "doorbell": ctx.doorbell},
        )
        self._doorbell, self._runner = ctx.doorbell, runner

    async def main(self) -> None:
        runner = self._runner
        while True:
            while runner.free == 0:
                runner.slot_freed.clear()
                await runner.slot_freed.wait()
            for message in await self._doorbell.take(runner.free) or await self._doorbell.take_one():
                await self._hand_over(message)

    async def _hand_over(self, message: str) -> None:
        try:
            await self.run_job(message, 0)
        except (OutOfMemoryError, ReadOnlyError):
            raise
        except ResponseError as error:  # one of arq's own keys is of another type than arq made it
            await self._doorbell.refuse(str(error), message.encode())
