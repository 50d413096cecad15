"""The composition root of a worker: its parts, the tasks that run in it, and how it ends."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

import structlog
import uvloop

from shared import tracing
from shared.core.connections import HEARTBEAT, of_work
from shared.core.limits import Limits
from shared.core.timings import Timings
from shared.db.fan_in import FanInStore
from shared.db.head import at_head
from shared.db.jobs import JobStore
from shared.db.limits import LimitStore
from shared.db.partials import PartialStore
from shared.db.plans import PlanStore
from shared.db.pool import QUEUE as QUEUE_PLANS
from shared.db.pool import Pool, connect
from shared.db.pruning import PruneStore
from shared.db.publishing import PublishingStore
from shared.db.units import UnitStore
from shared.db.workers import WorkerStore
from shared.doorbell import REDIS_AWAY, Doorbell, redis_pool
from shared.errors import TransientError
from shared.loops import Service, end, forever
from shared.metrics import SLOTS
from shared.metrics.exposition import exposed
from shared.process import harden
from shared.settings import Settings, agreed
from shared.spec.version import STATE_VERSION
from shared.storage.uploads import UploadFiles
from worker_service.context import Context
from worker_service.dispatch.pull import Puller
from worker_service.dispatch.ring import Dispatcher
from worker_service.executors.protocol import Executor
from worker_service.maintenance.fitness import Fitness
from worker_service.maintenance.heartbeat import Heartbeat
from worker_service.maintenance.pruner import Pruner
from worker_service.maintenance.storage import StorageKeeper
from worker_service.maintenance.sweeper import Sweeper
from worker_service.native import absence, variant
from worker_service.slots import END_SECONDS, Slots
from worker_service.units.fan_in import advance

SECOND_SIGNAL_SECONDS = 1.5
"""How long a worker lives after a second signal, to give its units back."""
TAKING = {"puller", "listener"}
"""The services that take messages off Redis. While a worker drains, no slot would answer them."""
log = structlog.get_logger()


def build(settings: Settings, executor: Executor) -> Context:
    timings = Timings().scaled(settings.time_scale)
    # A statement that waits for a lock gives up and is tried again, so one frozen transaction holds up no
    # other work.
    limits = QUEUE_PLANS | {"lock_timeout": f"{timings.sweep / timedelta(milliseconds=1):.0f}"}
    pool = connect(
        settings.database_url,
        name="gristmill-worker",
        size=of_work(settings.slots),
        idle_in_transaction=timings.lease,
        settings=limits,
    )
    units = UnitStore(pool, timings, STATE_VERSION, Limits.of(settings))
    return Context(
        settings=settings,
        timings=timings,
        pool=pool,
        jobs=JobStore(pool),
        units=units,
        partials=PartialStore(pool, units),
        fan_in=FanInStore(pool),
        publishing=PublishingStore(pool, units),
        plans=PlanStore(pool),
        doorbell=Doorbell(redis_pool(settings.redis_url)),
        executor=executor,
    )


def services(ctx: Context, slots: Slots, heartbeat: Heartbeat) -> tuple[Service, ...]:
    """All that runs beside the slots. Puller and listener go on by themselves, unless Redis is away."""
    periods = ctx.timings
    fitness = Fitness(slots, patience=periods.lease)
    sweeper = Sweeper(ctx.jobs, ctx.units, partial(advance, ctx), periods)
    pruner = Pruner(PruneStore(ctx.pool), UploadFiles(ctx.settings.storage))
    dispatcher = Dispatcher(ctx.doorbell, ctx.units, slots, periods.dispatch)
    limits = LimitStore(ctx.pool, Limits.of(ctx.settings))
    keeper = StorageKeeper(limits, ctx.jobs)
    return (
        Service("heartbeat", heartbeat.run_once, periods.heartbeat),
        Service("fitness", fitness.run_once, periods.heartbeat),
        Service("template", ctx.executor.maintain, periods.heartbeat),
        Service("sweeper", sweeper.run_once, periods.sweep),
        Service("pruner", pruner.run_once, periods.prune),
        Service("limits", limits.let_in, periods.dispatch),
        Service("storage_keeper", keeper.run_once, periods.ring_again),
        Service("dispatcher", dispatcher.run_once, periods.ring_again, wake=slots.new_units),
        Service("dispatcher_turn", dispatcher.run_in_turn, periods.dispatch),
        Service("listener", dispatcher.listen, periods.poll_idle, away=REDIS_AWAY),
        Service("puller", lambda: Puller(ctx.doorbell, slots).main(), periods.poll_idle, away=REDIS_AWAY),
    )


def run(settings: Settings, executor: Executor) -> NoReturn:
    """A worker's whole life.

    It ends with `os._exit`: the interpreter's own end would wait for a thread that hangs in a dead file
    system.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, executor))
        tracing.close()
        sys.stderr.flush()
        os._exit(0)


async def serve(settings: Settings, executor: Executor) -> None:
    """Work until SIGTERM, SIGINT or a request to drain, then drain and leave.

    A second signal ends the worker at once.
    """
    ctx = build(settings, executor)
    slots = Slots(ctx)
    stop = asyncio.Event()
    _handle_signals(slots, stop)
    # A connection of its own: a heartbeat never waits behind the work.
    heartbeat_pool = connect(settings.database_url, name="gristmill-heartbeat", size=HEARTBEAT)
    heartbeat = Heartbeat(
        ctx.worker_id,
        WorkerStore(heartbeat_pool),
        ctx.units,
        ctx.pool,
        slots,
        ctx.timings,
        drain=stop.set,
        settings=agreed(settings),
    )
    try:
        await _until(stop, _database_ready(ctx.pool), ctx.executor.start())
        if not stop.is_set():
            log.info("worker.hardening", parent=harden(), children=ctx.executor.rights)
            native = variant() or absence()
            log.info("worker.started", worker=ctx.worker_id, slots=settings.slots, native=native)
            SLOTS.set(slots.count)
            async with exposed(settings, "worker"):
                await _work(ctx, slots, heartbeat, stop)
    finally:
        await ctx.executor.close()
        await asyncio.gather(ctx.pool.close(), heartbeat_pool.close(), ctx.doorbell.close())
        log.info("worker.stopped", worker=ctx.worker_id)


def _handle_signals(slots: Slots, stop: asyncio.Event) -> None:
    """The first signal asks for a drain.

    The second kills the children and gives their units back, if Postgres answers soon enough.
    """
    loop = asyncio.get_running_loop()

    def signalled() -> None:
        if stop.is_set():
            log.warning("worker.hurried", units=len(slots.leases))
            slots.stop()
            loop.call_later(SECOND_SIGNAL_SECONDS, os._exit, 1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)


async def _database_ready(pool: Pool) -> None:
    """Wait for Postgres and for its migrations, and say so."""
    while True:
        try:
            if await at_head(pool):
                return
            log.warning("database.waits", error="migrations are not at head; run `gristmill server migrate`")
        except TransientError as error:
            log.warning("database.waits", error=error.detail)
        await asyncio.sleep(1)


async def _until(stop: asyncio.Event, *steps: Coroutine[Any, Any, None]) -> None:
    """Run the steps one after the other, as long as *stop* is not set."""
    stopping = asyncio.ensure_future(stop.wait())
    for step in steps:
        task = asyncio.ensure_future(step)
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            continue
        task.result()
    stopping.cancel()


async def _work(ctx: Context, slots: Slots, heartbeat: Heartbeat, stop: asyncio.Event) -> None:
    """Run the services until *stop* is set or one of them ends, which is a bug; then drain and sign off."""
    tasks = {
        service.name: asyncio.create_task(forever(service), name=service.name)
        for service in services(ctx, slots, heartbeat)
    }
    stopping = asyncio.create_task(stop.wait(), name="stop")
    ended, _ = await asyncio.wait([stopping, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
    for task in ended - {stopping}:
        error = None if task.cancelled() else repr(task.exception())
        log.error("worker.loop_ended", loop=task.get_name(), error=error)
    slots.draining = True
    log.info("worker.draining", units=len(slots.leases))
    await _end([tasks[name] for name in TAKING])
    await slots.drain(ctx.timings.drain.total_seconds())
    await _end([stopping, *tasks.values()])
    with contextlib.suppress(TransientError):
        await heartbeat.leave()


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel the tasks. One that does not end is logged, and must not keep the process alive."""
    for task in await end(tasks, END_SECONDS):
        log.error(
            "worker.stuck",
            loop=task.get_name(),
            stack=[f"{f.f_code.co_filename}:{f.f_lineno}" for f in task.get_stack()],
        )
