"""The steps of the protocol's state machine: each is run, and checked against what it had to do.

At the end of a run every job comes to its end.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from typing import Any, ClassVar

from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine, rule

from shared.db.units import Lease
from shared.db.verify import violations
from shared.errors import DatabaseUnavailable, GristmillError, LeaseLost
from tests.support import invariants
from tests.support.protocol import OpenCommit, Snapshot, Stores, World, keys

GRACE = timedelta(seconds=10)
RING_AGAIN = timedelta(seconds=5)
ROUNDS = 80
"""Far more rounds of calm than any job of a machine needs to its end."""


class Blocked(Exception):
    """The step met the lock of a commit that the machine itself holds open."""


def step_rule(**arguments):
    """A rule that may end where it meets an open commit's lock."""

    def wrap(function):
        @wraps(function)
        def run(self, **drawn):
            try:
                function(self, **drawn)
            except Blocked:
                note("  blocked by an open commit")

        return rule(**arguments)(run)

    return wrap


class Worker:
    """A worker process as far as Postgres knows it; `known` are the leases that it heard of."""

    def __init__(self, world: World, no: int, *, slots: int, state_version: int) -> None:
        self.id, self.slots, self.state_version = f"w{no}", slots, state_version
        self.stores: Stores = world.stores(state_version)
        self.patient: Stores = world.stores(state_version, waits=True)
        self.known: set[tuple[int, int]] = set()
        self.idle: set[tuple[int, int]] = set()

    async def beat(self) -> dict[tuple[int, int], bool]:
        heard = await self.stores.workers.beat(
            self.id, host="h", pid=1, version="0", slots=self.slots, able=self.slots, draining=False
        )
        return heard.held


class ProtocolSteps(RuleBasedStateMachine):
    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.world.reset()
        self.workers = [
            Worker(self.world, no, slots=slots, state_version=version)
            for no, (slots, version) in enumerate([(2, 1), (1, 1), (1, 2)])
        ]
        self.born = len(self.workers)
        self.leases: list[tuple[Lease, Stores]] = []
        self.open: list[OpenCommit] = []
        self.folds: list[tuple[list[Lease], Stores]] = []
        self.steady_since = self.world.clock.now
        self.last_sweep = self.world.clock.now - timedelta(days=1)
        self.sound = True
        self.now: Snapshot = self.world.look()

    @property
    def messages(self) -> list[tuple[int, int]]:
        return self.world.messages

    def step(self, operation: Coroutine[Any, Any, Any]) -> tuple[Any, Snapshot, set[tuple[str, Any]]]:
        """Run it and check the database: its answer or its error, the rows before, and what changed."""
        try:
            answer = self.world.run(operation)
        except GristmillError as error:
            answer = error
        before = replace(self.now, now=self.world.clock.now, started=self.world.clock.started)
        self.now = self.world.look()
        found = [*invariants.broken(self.now), *invariants.unlawful(before, self.now)]
        self.check(not found, "\n".join(found))
        if isinstance(answer, DatabaseUnavailable):
            self.check(bool(self.open), f"no lock is held, yet: {answer!r} {answer.__cause__!r}")
            raise Blocked
        return answer, before, before.changes(self.now)

    def check(self, truth: bool, what: object) -> None:
        if not truth:
            self.sound = False
            raise AssertionError(what)

    # What a step must do, predicted from the rows before it.

    def claim(self, worker: Worker, *, heard: bool = True, **asked: Any) -> Lease | None:
        """Of a job, or of the fairest, as *asked*."""
        lease, before, changes = self.step(_claim(worker, **asked))
        able = invariants.alive(before, worker.id)
        fit = [
            u
            for u in before.units.values()
            if able and invariants.claimable(before, u, worker.state_version) and _asked(before, u, **asked)
        ]
        if lease is None:
            others = [
                u
                for u in before.units.values()
                if invariants.ready(before, u) and u.job_id != asked.get("job_id")
            ]
            self.check(
                not changes and (not fit or ("job_id" in asked and others)),
                f"{worker.id} could have had {fit}, and changed {changes}",
            )
            return None
        unit = before.units[lease.id]
        job = before.jobs[lease.job_id]
        started = {("jobs", job.id)} if job.state == "queued" or invariants.limited(job) else set()
        self.check(
            unit in fit and changes == {("units", lease.id)} | started, f"{lease} of {unit} changed {changes}"
        )
        self.check(
            invariants.holds(self.now, lease) and lease.attempt == unit.attempt + 1, f"{lease} is not held"
        )
        self.check_fair(before, unit, fit)
        note(
            f"  {worker.id} leased {lease.kind} {lease.no} of {lease.job_id}, unit {lease.id}"
            f" attempt {lease.attempt}{'' if heard else ', unheard'}"
        )
        if heard:
            self.leases.append((lease, worker.stores))
            worker.known.add((lease.id, lease.attempt))
        return lease

    def check_fair(self, before: Snapshot, unit: Any, fit: list[Any]) -> None:
        """The tenant with the fewest leases first, then the highest priority."""
        job, others = before.jobs[unit.job_id], [before.jobs[u.job_id] for u in fit]
        held = {tenant: invariants.leases_of(before, tenant) for tenant in {j.tenant for j in others}}
        self.check(
            held[job.tenant] == min(held.values()), f"{job} before another tenant's, leases are {held}"
        )
        self.check(
            job.priority == max(j.priority for j in others if j.tenant == job.tenant),
            f"{job} before one of a higher priority",
        )

    def commit(self, lease: Lease, stores: Stores, chunks: int) -> bool:
        before = self.now
        due, again = self.may_commit(lease), invariants.done_by(before, lease)
        answer, _, changes = self.step(stores.commit(lease, chunks))
        note(
            f"  commit of {lease.kind} {lease.no} of {lease.job_id}, attempt {lease.attempt}:"
            f" {answer or 'done'}"
        )
        if answer is not None:
            self.check(
                isinstance(answer, LeaseLost) and not (due or again) and not changes,
                f"{lease} was refused: {answer!r}, changes {changes}",
            )
            return False
        if again:
            self.check(not changes, f"the same commit again changed {changes}")
            return True
        self.check(due and invariants.done_by(self.now, lease), f"{lease} was let in")
        if lease.kind == "publish":
            self.check_result(lease.job_id)
        return True

    def commit_fold(self, leases: list[Lease], stores: Stores) -> bool:
        """All leases are good, or nothing happens; a fold that was committed counts as such."""
        before = self.now
        due = all(invariants.holds(before, lease) for lease in leases)
        again = invariants.done_by(before, leases[-1])
        answer, _, changes = self.step(stores.commit_fold(leases))
        note(f"  commit of units {[lease.id for lease in leases]}: {answer or 'done'}")
        if due:
            done = all(invariants.done_by(self.now, lease) for lease in leases)
            self.check(answer is None and done, f"a fold was refused: {answer!r} {leases}")
        else:
            self.check(
                not changes and (answer is None if again else isinstance(answer, LeaseLost)),
                f"a fold with a lost lease: {answer!r}, changes {changes}, {leases}",
            )
        return due

    def may_commit(self, lease: Lease) -> bool:
        job = self.now.jobs.get(lease.job_id)
        wanted = lease.kind in {"chunk", "merge"} or (
            job is not None and job.state in {"running", "paused"} and job.epoch == lease.epoch
        )
        return invariants.holds(self.now, lease) and wanted

    def check_result(self, job_id: str) -> None:
        """Each chunk counted once, in the table that the job published."""
        expected = sorted(key for unit in self.now.of_job(job_id, "chunk") for key in keys(unit.no))
        found = sorted(self.world.table(job_id))
        self.check(found == expected, f"{job_id} published {found}, its chunks are {expected}")

    def check_rung(self, before: Snapshot, rung: set[int]) -> None:
        """The dispatcher rings for what is ready, and at most until a window of messages is out."""
        slots = sum(
            max(
                0,
                w.slots
                - sum(
                    (u.state, u.worker) == ("leased", w.id) and u.fold is None for u in before.units.values()
                ),
            )
            for w in before.workers.values()
            if invariants.alive(before, w.id) and not w.draining
        )
        ready = {u.id: u for u in before.units.values() if invariants.ready(before, u)}
        self.check(rung <= ready.keys(), f"rang for {rung} of {ready}")
        first = {unit for unit in rung if before.units[unit].rung_at is None}
        out = sum(u.rung_at is not None for u in ready.values())
        self.check(
            len(first) <= max(0, slots - out), f"rang for {first} with {out} out and {slots} free slots"
        )
        if first:
            self.check(
                len(self.messages) <= max(slots, out + len(first)), f"{self.messages} for {slots} free slots"
            )

    def sweep(self) -> None:
        """Two sweepers at once.

        What they take back must have expired, and after a steady while they leave nothing.
        """
        now = self.world.clock.now
        if now - self.last_sweep > invariants.LEASE:
            self.steady_since = now
        self.last_sweep = now
        steady = now - self.steady_since >= GRACE and self.now.started < now - GRACE
        stores = (
            [worker.stores for worker in self.workers[:1]]
            if self.open
            else [worker.patient for worker in self.workers[:2]]
        )
        _, before, _ = self.step(_together(*(store.sweeper.run_once() for store in stores)))
        if not self.open:
            self.check_sweep(before, steady=steady)

    def check_sweep(self, before: Snapshot, *, steady: bool) -> None:
        late = {u.id: u for u in invariants.expired(before)} if steady else {}
        for unit in before.units.values():
            after = self.now.units[unit.id]
            if unit.state == "leased" and unit.id not in late:
                self.check(
                    (after.state, after.attempt) == ("leased", unit.attempt),
                    f"{unit} was taken back early: {after}",
                )
        for unit in late.values():
            after, died = self.now.units[unit.id], not invariants.alive(before, unit.worker)
            self.check(after.state != "leased", f"{unit} was not taken back")
            charged = (after.deaths - unit.deaths, after.crashes - unit.crashes, after.errors - unit.errors)
            due = (0, 0, 0) if invariants.held(before, unit) else (1, 0, 0) if died else (0, 1, 0)
            self.check(
                charged == due or after.state == "failed",
                f"{unit} was charged {charged}",
            )
        self.check(not invariants.stuck(self.now), f"left stuck: {invariants.stuck(self.now)}")

    def forget_gone(self) -> None:
        """The leases of jobs that are deleted: a late commit of one meets no unit."""
        self.leases = [one for one in self.leases if one[0].job_id in self.now.jobs]
        self.folds = [one for one in self.folds if one[0][0].job_id in self.now.jobs]

    def settle(self) -> None:
        """From any state, with workers that live and nothing in their way, every job comes to its end."""
        self.messages.clear()
        for job in self.now.jobs.values():
            if job.state == "paused":
                self.world.run(self.workers[0].stores.jobs.resume(job.tenant, job.id))
        for _ in range(ROUNDS):
            self.now = self.world.look()
            if all(job.finished_at for job in self.now.jobs.values()):
                break
            self.world.clock.advance(timedelta(seconds=6))
            self.world.run(self._calm_round())
        found = [
            *invariants.broken(self.now),
            *self.world.run(violations(self.workers[0].stores.context.pool, deep=True)),
        ]
        self.check(not found, "\n".join(found))
        unfinished = [job for job in self.now.jobs.values() if not job.finished_at]
        self.check(
            not unfinished, f"never ended: {unfinished} {[self.now.of_job(job.id) for job in unfinished]}"
        )

    async def _calm_round(self) -> None:
        for worker in self.workers:
            await self.beat(worker)
        await self.workers[0].patient.sweeper.run_once()
        await self.workers[0].stores.dispatcher.run_once()
        mine = [(lease, stores) for lease, stores in self.leases if invariants.holds(self.now, lease)]
        for lease, stores in mine:
            await self.finish(lease, stores)
        while self.messages:
            self.messages.pop(0)
            for worker in self.workers:
                while (lease := await worker.stores.units.claim_fairest(worker.id)) is not None:
                    await self.finish(lease, worker.stores)

    async def finish(self, lease: Lease, stores: Stores) -> None:
        """What a worker does with a lease, without anything in its way."""
        try:
            await stores.commit(lease, 2)
        except LeaseLost:
            await stores.units.give_back(lease, "nothing")
        await stores.advance(lease.job_id)

    async def beat(self, worker: Worker) -> None:
        """The heartbeat, and what it answers with: leases without a slot go back at the second time."""
        idle = set(await worker.beat()) - worker.known
        unheard, worker.idle = idle & worker.idle, idle
        for unit, attempt in unheard:
            await worker.stores.units.give_back_stray(unit, attempt, worker.id)

    def teardown(self) -> None:
        for commit in self.open:
            self.world.end_commit(commit, die=not self.sound)
        if self.sound:
            self.settle()


def _asked(now: Snapshot, unit: Any, job_id: str | None = None, fold: int | None = None) -> bool:
    fits = fold is None or not invariants.limited(now.jobs[unit.job_id])
    return job_id in {None, unit.job_id} and fits


async def _claim(worker: Worker, job_id: str | None = None, fold: int | None = None) -> Lease | None:
    units = worker.stores.units
    if job_id is None:
        return await units.claim_fairest(worker.id)
    return await units.claim_of_job(worker.id, job_id, fold=fold)


async def _together(*operations: Coroutine[Any, Any, Any]) -> None:
    await asyncio.gather(*operations)
