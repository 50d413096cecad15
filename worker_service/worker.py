"""The composition root of a worker: connections, children, the arq worker and the maintenance loops, and their end."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, NoReturn

import structlog
import uvloop

from shared.core.timings import Timings
from shared.db.fan_in import FanInStore
from shared.db.head import at_head
from shared.db.jobs import JobStore
from shared.db.partials import PartialStore
from shared.db.pool import QUEUE as QUEUE_PLANS
from shared.db.pool import Pool, connect
from shared.db.publishing import PublishingStore
from shared.db.units import UnitStore
from shared.db.workers import WorkerStore
from shared.doorbell import AWAY, Doorbell, redis_pool
from shared.errors import TransientError
from shared.process import harden
from shared.settings import Settings
from shared.spec.version import STATE_VERSION
from shared.tasks import end, forever
from worker_service.context import Context
from worker_service.executor import Executor
from worker_service.maintenance.fitness import Fitness
from worker_service.maintenance.heartbeat import beat, leave
from worker_service.maintenance.loop import every
from worker_service.maintenance.pruner import Pruner
from worker_service.maintenance.sweeper import Sweeper
from worker_service.puller import Puller
from worker_service.runner import END_SECONDS, Runner
from worker_service.units.run import ring

HURRY_SECONDS = 1.5
log = structlog.get_logger()


async def pull(ctx: Context, runner: Runner) -> None:
    """One Puller's life. One that met a Redis error is thrown away."""
    await Puller(ctx, runner).main()


async def listen(ctx: Context, new_units: asyncio.Event) -> None:
    """Take the nudges that nobody else has taken; the dispatchers' turns go on without them."""
    while True:
        if await ctx.doorbell.nudged():
            new_units.set()


async def dispatch(ctx: Context, runner: Runner) -> None:
    """Ring; if Redis takes no messages, each free slot looks for work itself."""
    if not await ring(ctx):
        for _ in range(runner.free):
            runner.take()


async def patrol(ctx: Context, runner: Runner) -> None:
    """The dispatchers of all workers take turns: one pass in a period is enough."""
    if await ctx.doorbell.quiet():
        await dispatch(ctx, runner)


async def keep(ctx: Context, name: str, run: Callable[[], Awaitable[None]]) -> NoReturn:
    """Redis must never end a worker."""
    await forever(name, run, rest=ctx.timings.poll_idle.total_seconds(), away=AWAY)


def build(settings: Settings, executor: Executor) -> Context:
    timings = Timings().scaled(settings.time_scale)
    size = settings.slots * 2 + 4
    # Whoever waits for a lock gives up and tries again, so that one frozen transaction holds up nobody who
    # has other things to do.
    limits = QUEUE_PLANS | {"lock_timeout": f"{timings.sweep / timedelta(milliseconds=1):.0f}"}
    pool = connect(
        settings.database_url,
        name="gristmill-worker",
        size=size,
        idle_in_transaction=timings.lease,
        settings=limits,
    )
    units = UnitStore(pool, timings, STATE_VERSION)
    return Context(
        settings=settings,
        timings=timings,
        pool=pool,
        jobs=JobStore(pool),
        units=units,
        partials=PartialStore(pool, units),
        fan_in=FanInStore(pool),
        publishing=PublishingStore(pool, units),
        workers=WorkerStore(pool),
        doorbell=Doorbell(redis_pool(settings.redis_url)),
        executor=executor,
    )


async def ready(pool: Pool) -> None:
    """Wait for Postgres and for its migrations, and say so."""
    while True:
        try:
            if await at_head(pool):
                return
            log.warning(
                "database.waits", reason="migrations are not at head; run `python -m api_service migrate`"
            )
        except TransientError as error:
            log.warning("database.waits", reason=error.detail)
        await asyncio.sleep(1)


def run(settings: Settings, executor: Executor) -> NoReturn:
    """A worker's whole life.

    It ends with `os._exit`: the interpreter's own end would wait for a thread that hangs in a dead file
    system.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, executor))
        sys.stderr.flush()
        os._exit(0)


async def serve(settings: Settings, executor: Executor) -> None:
    """Work until SIGTERM or SIGINT; then finish what is leased, within the drain time, and leave.

    A second signal ends it at once.
    """
    ctx = build(settings, executor)
    runner = Runner(ctx)
    stop = asyncio.Event()
    _listen_to_signals(runner, stop)
    heart = connect(settings.database_url, name="gristmill-heartbeat", size=1)
    try:
        await _until(stop, ready(ctx.pool), ctx.executor.start())
        if not stop.is_set():
            log.info("worker.hardening", parent=harden(), children=ctx.executor.rights)
            log.info("worker.started", worker=ctx.worker_id, slots=settings.slots)
            await _work(ctx, runner, WorkerStore(heart), stop)
    finally:
        await ctx.executor.close()
        await asyncio.gather(ctx.pool.close(), heart.close(), ctx.doorbell.close())
        log.info("worker.stopped", worker=ctx.worker_id)


def _listen_to_signals(runner: Runner, stop: asyncio.Event) -> None:
    """The first signal asks for a drain.

    The second kills the children and gives their units back, if Postgres answers soon enough.
    """
    loop = asyncio.get_running_loop()

    def told() -> None:
        if stop.is_set():
            log.warning("worker.hurried", units=len(runner.leases))
            runner.stop()
            loop.call_later(HURRY_SECONDS, os._exit, 1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)


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
    timings, new_units = ctx.timings, runner.new_units
    loops = {
        "fitness": every("fitness", timings.heartbeat, Fitness(ctx, runner).run_once),
        "template": every("template", timings.heartbeat, ctx.executor.tend),
        "heartbeat": every("heartbeat", timings.heartbeat, lambda: beat(ctx, runner, heart)),
        "dispatcher": every("dispatcher", timings.ring_again, lambda: dispatch(ctx, runner), new_units),
        "patrol": every("patrol", timings.dispatch, lambda: patrol(ctx, runner)),
        "sweeper": every("sweeper", timings.sweep, Sweeper(ctx).run_once),
        "pruner": every("pruner", timings.prune, Pruner(ctx).run_once),
        "puller": keep(ctx, "puller", lambda: pull(ctx, runner)),
        "listener": keep(ctx, "listener", lambda: listen(ctx, new_units)),
    }
    tasks = [asyncio.create_task(loop, name=name) for name, loop in loops.items()]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    ended, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in ended - {stopping}:
        log.error(
            "worker.loop_ended",
            loop=task.get_name(),
            error=None if task.cancelled() else repr(task.exception()),
        )
    ctx.draining = True
    log.info("worker.draining", units=len(runner.leases))
    await _end(
        [task for task in tasks if task.get_name() in {"puller", "listener"}]
    )  # what they take now, nobody would run
    await runner.drain(timings.drain.total_seconds())
    await _end([stopping, *tasks])
    with contextlib.suppress(TransientError):
        await leave(ctx, heart)


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    """End the loops; one that cannot end must not keep the process alive."""
    for task in await end(tasks, END_SECONDS):
        log.error(
            "worker.stuck",
            loop=task.get_name(),
            stack=[f"{f.f_code.co_filename}:{f.f_lineno}" for f in task.get_stack()],
        )
