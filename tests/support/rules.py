"""The rules of the protocol's state machine. What a call must do is predicted from the rows before it."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from shared.core.plan import PlanPayload
from shared.errors import LeaseLost, WorkerLost
from tests.support import invariants
from tests.support.machine import Worker, step_rule
from tests.support.protocol import PLAN
from tests.support.user_rules import PICK, UserRules

UNKNOWN_JOB = "job_unknown"
WORKER = st.integers(0, 2)
CHUNKS = st.sampled_from([2, 1, 0, 3, 5])
MINUTE, HOUR = 60, 3600
SILENT = st.sampled_from([set(), {0}, set(), {1}, {2}, {0, 1, 2}])
"""Workers that miss their heartbeats."""


LATE = st.sampled_from(["commit", "nothing", "commit", "widen", "commit", "plan again", "fail"])
"""What the holder of an earlier lease does; its commit is what the fence is for."""


def has_leases(machine):
    return machine.leases


class ProtocolMachine(UserRules):
    def lease(self, pick, worker):
        """One that is held, claimed now if need be; or, without any, an old one."""
        if not self.held():
            self.claim(self.workers[worker])
        among = self.held() or self.leases
        return among[-1 - pick % len(among)]

    def held(self):
        return [one for one in self.leases if invariants.holds(self.now, one[0])]

    @initialize(chunks=CHUNKS, done=st.integers(0, 7))
    def a_job_on_its_way(self, chunks, done):
        self.step(self.beats(range(3)))
        self.submit(tenant="default", key="k", digest="d", name="sales", deadline=None)
        self.work(worker=0, pick=0, count=done, chunks=chunks)

    # Workers.

    @step_rule(worker=WORKER, pick=PICK, count=st.integers(1, 8), chunks=CHUNKS)
    def work(self, worker, pick, count, chunks):
        """A worker as it should be: one unit after the other of the same job."""
        worker, job = self.workers[worker], self.job(pick)
        for _ in range(count):
            lease = self.claim(worker, job_id=job.id)
            if lease is None:
                return
            if not self.commit(lease, worker.stores, chunks):
                self.give_back_lease(lease, worker.stores, "nothing")
            self.advance_job(job.id, worker)

    @step_rule(
        worker=WORKER,
        pick=PICK,
        of=st.sampled_from(["job", "unknown job", "all"]),
        heard=st.sampled_from([True, True, True, False]),
    )
    def claim_one(self, worker, pick, of, heard):
        # fault matrix: 16
        asked = {"job": {"job_id": self.job(pick).id}, "unknown job": {"job_id": UNKNOWN_JOB}, "all": {}}
        self.claim(self.workers[worker], heard=heard, **asked[of])

    @precondition(has_leases)
    @step_rule(worker=WORKER, pick=PICK, chunks=CHUNKS)
    def commit_lease(self, worker, pick, chunks):
        self.commit(*self.lease(pick, worker), chunks)

    @step_rule(
        worker=WORKER,
        pick=PICK,
        more=st.integers(1, 3),
        how=st.sampled_from(["commit", "twice", "stay", "lose", "widen", "plan again"]),
    )
    def fold(self, worker, pick, more, how):
        """A slot leases chunks of a job one after the other, and commits them together."""
        # fault matrix: 61
        worker, job = self.workers[worker], self.job(pick)
        first = self.claim(worker, job_id=job.id)
        if first is None or first.kind != "chunk":
            return
        leases = [first]
        for _ in range(more):
            self.world.clock.advance(timedelta(milliseconds=1))
            lease = self.claim(worker, job_id=job.id, fold=first.id)
            leases += [lease] if lease is not None else []
        self.folds.append((leases, worker.stores))
        if how == "lose":
            self.give_back_lease(leases[pick % len(leases)], worker.stores, "nothing")
        elif how in {"widen", "plan again"}:
            self.settle_lease(leases[pick % len(leases)], worker.stores, how)
        for _ in range({"twice": 2, "stay": 0}.get(how, 1)):
            self.commit_fold(leases, worker.stores)
        if how in {"lose", "widen", "plan again"}:
            for lease in leases:
                self.give_back_lease(lease, worker.stores, "nothing")

    @precondition(lambda self: self.folds)
    @step_rule(pick=PICK)
    def late_fold(self, pick):
        """Any fold there ever was: its worker comes back, or an answer was lost."""
        # fault matrix: 21, 61
        self.commit_fold(*self.folds[-1 - pick % len(self.folds)])

    @precondition(has_leases)
    @step_rule(pick=PICK, how=LATE)
    def zombie(self, pick, how):
        """Any lease there ever was: by a worker that comes back, or because an answer was lost."""
        self.settle_lease(*self.leases[-1 - pick % len(self.leases)], how)

    @precondition(has_leases)
    @step_rule(
        worker=WORKER,
        other=st.sampled_from(["itself", 0, "itself", 1, "itself", 2]),
        pick=PICK,
        how=LATE,
    )
    def twice(self, worker, other, pick, how):
        """A unit goes back and on to another worker, or to the same one; then the first holder acts."""
        # fault matrix: 21
        lease, stores = self.lease(pick, worker)
        self.give_back_lease(lease, stores, "nothing")
        again = next((one for one in self.workers if one.id == lease.worker), self.workers[worker])
        self.claim(again if other == "itself" else self.workers[other], job_id=lease.job_id)
        self.settle_lease(lease, stores, how)

    @precondition(lambda self: self.leases and len(self.open) < 2)
    @step_rule(worker=WORKER, pick=PICK)
    def open_commit(self, worker, pick):
        lease, stores = self.lease(pick, worker)
        if lease.kind in {"chunk", "merge"} and all(lease.id != one.lease.id for one in self.open):
            due = invariants.holds(self.now, lease)
            commit = self.world.open_commit(stores, lease)
            self.check((commit is not None) == due, f"the fence let {lease} {'in' if commit else 'out'}")
            self.open += [commit] if commit else []

    @precondition(lambda self: self.open)
    @rule(pick=PICK, die=st.booleans())
    def close_commit(self, pick, die):
        commit = self.open.pop(pick % len(self.open))
        self.world.end_commit(commit, die=die)
        self.step(_nothing())
        self.check(
            invariants.done_by(self.now, commit.lease) != die,
            f"{commit.lease} after the commit's end: {die=}",
        )

    @precondition(has_leases)
    @step_rule(
        worker=WORKER,
        pick=PICK,
        how=st.sampled_from(["widen", "plan again", "nothing", "crash", "error", "memory", "fail"]),
    )
    def end_lease(self, worker, pick, how):
        self.settle_lease(*self.lease(pick, worker), how)

    def settle_lease(self, lease, stores, how):
        match how:
            case "commit":
                self.commit(lease, stores, 2)
            case "widen":
                self.widen(lease, stores)
            case "plan again":
                self.plan_again(lease, stores)
            case "fail":
                self.fail(lease, stores)
            case charge:
                self.give_back_lease(lease, stores, charge)

    def give_back_lease(self, lease, stores, charge):
        _, before, changes = self.step(stores.units.give_back(lease, charge))
        changes.discard(("jobs", lease.job_id))  # an ending job may end
        if not self.free(before, lease):
            self.check(not changes, f"a lost lease changed {changes}")
            return
        old, new = before.units[lease.id], self.now.units[lease.id]
        ending = before.jobs[lease.job_id].state == "cancelling"
        self.check(new.state == ("cancelled" if ending else "pending"), new)
        gained = {
            name: getattr(new, name) - getattr(old, name)
            for name in ("deaths", "crashes", "errors", "ooms", "preemptions")
        }
        paid = {"crash": "crashes", "error": "errors", "memory": "ooms", "preemption": "preemptions"}.get(
            charge
        )
        self.check(
            gained == {name: int(name == paid) for name in gained}, f"{charge} was charged as {gained}"
        )

    @precondition(has_leases)
    @step_rule(worker=WORKER)
    def make_room(self, worker):
        """At its heartbeat a worker gives back what is chosen of its own; all workers choose alike."""
        # fault matrix: 56
        worker = self.workers[worker]
        chosen, before, changes = self.step(worker.stores.room(worker.state_version))
        need, among = (
            invariants.in_need(before, worker.state_version),
            invariants.may_make_room(before, worker.state_version),
        )
        self.check(not changes and len(chosen) <= max(0, need), f"{chosen} make room for {need}")
        self.check(bool(chosen) == (need > 0 and bool(among)), f"{chosen} of {among} make room for {need}")
        self.check(not chosen or chosen[0].unit in among, f"{chosen[:1]} is none of {among}")
        for lease, stores in list(self.leases):
            if any(
                (lease.id, lease.attempt, lease.worker) == (one.unit, one.attempt, worker.id)
                for one in chosen
            ):
                self.give_back_lease(lease, stores, "preemption")

    def free(self, before, lease):
        """What is just being committed is left alone."""
        return invariants.holds(before, lease) and all(lease.id != commit.lease.id for commit in self.open)

    def fail(self, lease, stores):
        _, before, changes = self.step(stores.units.fail(lease, WorkerLost("given up").problem()))
        if self.free(before, lease):
            self.check(self.now.units[lease.id].state == "failed", self.now.units[lease.id])
            self.check(
                self.now.jobs[lease.job_id].state in {"cancelling", "failed"}
                or before.jobs[lease.job_id].state == "cancelling",
                lease,
            )
        else:
            self.check(not changes - {("jobs", lease.job_id)}, changes)

    def widen(self, lease, stores):
        if lease.kind != "chunk":
            return
        if job := self.begun_again(lease, stores.units.widen(lease, PLAN)):
            chunks = self.now.of_job(job.id, "chunk")
            self.check(chunks and {u.state for u in chunks} == {"pending"}, chunks)

    def plan_again(self, lease, stores):
        if lease.kind != "chunk":
            return
        if job := self.begun_again(lease, stores.units.plan_again(lease, PlanPayload(prove=True))):
            [plan] = self.now.of_job(job.id)
            self.check(
                (plan.kind, plan.state, job.phase, job.plan) == ("plan", "pending", "planning", None),
                f"{plan} {job}",
            )

    def begun_again(self, lease, asked):
        """The job, whose epoch has risen and which has no partials, if the lease was good for that."""
        answer, before, changes = self.step(asked)
        job, now = before.jobs[lease.job_id], self.now.jobs[lease.job_id]
        if (
            invariants.holds(before, lease)
            and job.state in {"running", "paused"}
            and job.epoch == lease.epoch
        ):
            self.check(now.epoch == job.epoch + 1, now)
            self.check(
                not any(owner == job.id for owner, *_ in self.now.partials),
                "a job that begins again keeps its partials",
            )
            return now
        self.check(isinstance(answer, LeaseLost) and not changes, f"{answer!r} {changes}")
        return None

    @step_rule(pick=PICK, worker=WORKER)
    def advance(self, pick, worker):
        self.advance_job(self.job(pick).id, self.workers[worker])

    def advance_job(self, job_id, worker):
        answer, before, changes = self.step(worker.stores.advance(job_id))
        job = before.jobs[job_id]
        due = (
            job.state == "running"
            and job.phase in {"scanning", "merging"}
            and all(u.state == "done" for u in before.of_job(job_id))
        )
        self.check(answer == due == bool(changes), f"{job} advanced: {answer}, {changes}")

    @rule(worker=WORKER)
    def die(self, worker):
        """Another process takes its place; what it was doing may still arrive."""
        old = self.workers[worker]
        self.workers[worker] = Worker(self.world, self.born, slots=old.slots, state_version=old.state_version)
        self.born += 1
        self.step(self.workers[worker].beat())

    # Messages.

    @precondition(lambda self: self.messages)
    @step_rule(pick=PICK, worker=WORKER, copies=st.sampled_from([1, 1, 1, 2, 100]), heard=st.booleans())
    def deliver(self, pick, worker, copies, heard):
        # fault matrix: 15
        self.messages.pop(pick % len(self.messages))
        worker = self.workers[worker]
        if copies < 100:
            for _ in range(copies):
                self.claim(worker, heard=heard)
            return
        while self.claim(worker, heard=heard) is not None:
            pass
        answers, _, changes = self.step(_each(lambda: worker.stores.units.claim_fairest(worker.id), 99))
        self.check(answers == [None] * 99 and not changes, f"a message doubled did {changes}")

    @rule(what=st.sampled_from(["flush", "forged", "double", "reverse"]))
    def redis(self, what):
        match what:
            case "flush":
                self.messages.clear()
            case "forged":
                self.messages.extend((unit, 1) for unit in [2**40, *self.now.units])
            case "double":
                self.messages.extend(list(self.messages)[:20])
            case "reverse":
                self.messages.reverse()

    @step_rule(worker=WORKER)
    def dispatch(self, worker):
        _, before, changes = self.step(self.workers[worker].stores.dispatcher.run_once())
        rung = {key for _, key in changes}
        self.check({table for table, _ in changes} <= {"units"}, changes)
        self.check_rung(before, rung)

    # Time, and what goes with it.

    @step_rule(
        seconds=st.sampled_from([3, 0.6, 6, 11, 16 * MINUTE, 61 * MINUTE, 25 * HOUR, 8 * 24 * HOUR]),
        silent=SILENT,
        sweeping=st.booleans(),
    )
    def pass_time(self, seconds, silent, sweeping):
        """With *sweeping*, a steady while of 12 s follows, in which the sweepers run."""
        # fault matrix: 37
        for then in [seconds, 6, 6] if sweeping else [seconds]:
            self.world.clock.advance(timedelta(seconds=then))
            self.hear(set(range(3)) - silent)
            if sweeping:
                self.sweep()

    def hear(self, beating):
        idle = set().union(*(worker.idle for worker in self.workers))
        _, before, changes = self.step(self.beats(beating))
        for unit in {key for table, key in changes if table == "units"}:
            old, new = before.units[unit], self.now.units[unit]
            self.check(
                (unit, old.attempt) in idle and new.state in {"pending", "cancelled"}, f"{old} became {new}"
            )

    async def beats(self, beating):
        for no in beating:
            await self.beat(self.workers[no])

    @step_rule(worker=WORKER)
    def prune(self, worker):
        _, before, changes = self.step(self.workers[worker].stores.pruner.run_once())
        for table, key in changes:
            owner = before.units[key].job_id if table == "units" else key[0] if table == "partials" else key
            self.check(
                table == "workers" or before.jobs[owner].finished_at is not None, f"pruned {table} {key}"
            )
        self.forget_gone()

    @rule(worker=WORKER, what=st.sampled_from(["worker dies", "postgres restarts"]))
    def break_down(self, worker, what):
        """Another process takes a dead worker's place; what that was doing may still arrive."""
        if what == "postgres restarts":
            self.world.clock.restart_server()
            return
        old = self.workers[worker]
        self.workers[worker] = Worker(self.world, self.born, slots=old.slots, state_version=old.state_version)
        self.born += 1
        self.step(self.workers[worker].beat())


async def _nothing():
    """Only look."""


async def _each(operation, count):
    return [await operation() for _ in range(count)]
