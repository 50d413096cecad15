"""The composition root of a worker: connections, children, the arq worker and the maintenance loops, and their end."""

import asyncio
import contextlib
import resource
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from arq.worker import Worker as ArqWorker
from arq.worker import func

from shared.core.timings import Timings
from shared.db.jobs import JobStore
from shared.db.merging import MergeStore
from shared.db.migrate import at_head
from shared.db.pool import Pool, connect
from shared.db.units import UnitStore
from shared.db.workers import WorkerStore
from shared.doorbell import AWAY, QUEUE, Doorbell, deserialize, redis_pool, serialize
from shared.errors import TransientError
from shared.settings import Settings
from shared.spec.version import STATE_VERSION
from shared.tasks import end
from worker_service.context import Context
from worker_service.executor import Executor
from worker_service.maintenance.heartbeat import beat
from worker_service.maintenance.loop import every, wait
from worker_service.maintenance.pruner import prune
from worker_service.maintenance.sweeper import Sweeper
from worker_service.runner import END_SECONDS, Runner
from worker_service.tasks import work
from worker_service.units.run import ring

log = structlog.get_logger()


class Puller(ArqWorker):
    """arq's worker with a loop that asks for no more than the free slots, sleeps until it is woken, and outlives Redis."""

    def __init__(self, ctx: Context, runner: Runner, wake: asyncio.Event) -> None:
        super().__init__(
            functions=[func(work, name="work", keep_result=0, max_tries=1_000_000, timeout=30)],
            queue_name=QUEUE,
            redis_pool=ctx.doorbell.redis,
            handle_signals=False,
            max_jobs=ctx.executor.slots,
            keep_result=0,
            max_tries=1_000_000,
            job_timeout=30,
            job_serializer=serialize,
            job_deserializer=deserialize,
            log_results=False,
            health_check_interval=3600,
            ctx={"runner": runner},
        )
        self._worker, self._runner, self._wake = ctx, runner, wake

    async def main(self) -> None:
        """Until the worker drains."""
        while not self._worker.draining:
            self._wake.clear()
            self.max_jobs = self._runner.free
            self.allow_pick_jobs = self.max_jobs > 0
            await self._poll_iteration()
            timings = self._worker.timings
            period = timings.poll_busy if self.tasks else timings.poll_idle
            await wait(self._wake, period)


async def pull(ctx: Context, runner: Runner) -> None:
    """One Puller's life. One that met a Redis error is thrown away: arq leaks its counters then."""
    await Puller(ctx, runner, runner.slot_freed).main()


async def listen(ctx: Context, runner: Runner, dispatch: asyncio.Event) -> None:
    """Turn what is heard on the channel into wake-ups; polling goes on without it."""
    async for message in ctx.doorbell.heard():
        (dispatch if message == b"nudge" else runner.slot_freed).set()


async def keep(ctx: Context, name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run again and again until the worker drains, whatever ends a run: Redis must never end a worker."""
    while not ctx.draining:
        try:
            await run()
        except AWAY as error:
            log.warning("doorbell.away", loop=name, error=str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.warning("doorbell.away", loop=name, error="cancelled by the driver")
        except Exception:
            log.exception("doorbell.bug", loop=name)
        await asyncio.sleep(ctx.timings.poll_idle.total_seconds())


def build(settings: Settings) -> Context:
    timings = Timings().scaled(settings.time_scale)
    pool = connect(settings.database_url, name="gristmill-worker", size=settings.slots * 2 + 4, idle_in_transaction=timings.lease)
    units = UnitStore(pool, timings, STATE_VERSION)
    return Context(
        settings=settings,
        timings=timings,
        pool=pool,
        jobs=JobStore(pool),
        units=units,
        merging=MergeStore(pool, units),
        workers=WorkerStore(pool),
        doorbell=Doorbell(redis_pool(settings.redis_url)),
        executor=Executor(settings.slots, settings.slot_memory_bytes),
    )


async def ready(pool: Pool) -> None:
    """Wait for Postgres and for its migrations, and say so."""
    while True:
        try:
            if await at_head(pool):
                return
            log.warning("database.waits", reason="migrations are not at head; run `python -m api_service migrate`")
        except TransientError as error:
            log.warning("database.waits", reason=error.detail)
        await asyncio.sleep(1)


async def serve(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; then finish what is leased, within the drain time, and leave."""
    _allow_many_files()
    ctx = build(settings)
    runner = Runner(ctx)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    heart = connect(settings.database_url, name="gristmill-heartbeat", size=1)
    try:
        await _until(stop, ready(ctx.pool), ctx.executor.start())
        if not stop.is_set():
            log.info("worker.started", worker=ctx.worker_id, slots=settings.slots)
            await _work(ctx, runner, WorkerStore(heart), stop)
    finally:
        await ctx.executor.close()
        await asyncio.gather(ctx.pool.close(), heart.close(), ctx.doorbell.close())
        log.info("worker.stopped", worker=ctx.worker_id)


def _allow_many_files() -> None:
    """A plan opens all files of its dataset, and the usual soft limit is 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _until(stop: asyncio.Event, *steps: Any) -> None:
    """Run the steps one after the other, or until told to stop."""
    stopping = asyncio.ensure_future(stop.wait())
    for step in steps:
        task = asyncio.ensure_future(step)
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            continue
        task.result()
    stopping.cancel()


async def _work(ctx: Context, runner: Runner, heart: WorkerStore, stop: asyncio.Event) -> None:
    timings, dispatch = ctx.timings, runner.new_units
    loops = {
        "heartbeat": every("heartbeat", timings.heartbeat, lambda: beat(ctx, runner, heart)),
        "dispatcher": every("dispatcher", timings.dispatch, lambda: ring(ctx), dispatch),
        "sweeper": every("sweeper", timings.sweep, Sweeper(ctx).run_once),
        "pruner": every("pruner", timings.prune, lambda: prune(ctx)),
        "puller": keep(ctx, "puller", lambda: pull(ctx, runner)),
        "listener": keep(ctx, "listener", lambda: listen(ctx, runner, dispatch)),
    }
    tasks = [asyncio.create_task(loop, name=name) for name, loop in loops.items()]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    ended, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in ended - {stopping}:
        log.error("worker.loop_ended", loop=task.get_name(), error=None if task.cancelled() else repr(task.exception()))
    ctx.draining = True
    runner.slot_freed.set()
    log.info("worker.draining", units=len(runner.leases))
    await runner.drain(timings.drain.total_seconds())
    await _end([stopping, *tasks])
    with contextlib.suppress(TransientError):
        await heart.leave(ctx.worker_id)


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    """End the loops; one that cannot end must not keep the process alive."""
    for task in await end(tasks, END_SECONDS):
        log.error("worker.stuck", loop=task.get_name(), stack=[f"{f.f_code.co_filename}:{f.f_lineno}" for f in task.get_stack()])
