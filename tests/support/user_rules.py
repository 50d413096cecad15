"""What users do, as rules of the protocol's state machine: submit, change and delete jobs, delete results."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from shared.errors import AlreadyDone, IdempotencyKeyReused, InUse, InvalidState, RetryExpired
from shared.spec.values import parse_duration
from tests.support.machine import ProtocolSteps, step_rule
from tests.support.protocol import TENANTS, spec

MAX_JOBS = 4
PICK = st.integers(0, 11)


class UserRules(ProtocolSteps):
    def job(self, pick):
        """The newest first; a new one if there is none."""
        if not self.now.jobs:
            self.submit(tenant="default", key=None, digest="d", name="sales", deadline=None)
        jobs = list(self.now.jobs.values())[::-1]
        return jobs[pick % len(jobs)]

    @precondition(lambda self: len(self.now.jobs) < MAX_JOBS)
    @step_rule(
        tenant=st.sampled_from(TENANTS),
        key=st.sampled_from([None, "k", "l"]),
        digest=st.sampled_from(["d", "d", "e"]),
        name=st.sampled_from(["sales", None]),
        deadline=st.sampled_from([None, None, "1h"]),
        priority=st.sampled_from([5, 5, 9]),
        max_parallel=st.sampled_from([None, None, None, 1, 2]),
    )
    def submit(self, tenant, key, digest, name, deadline, priority=5, max_parallel=None):
        asked = {
            "idempotency_key": key,
            "priority": priority,
            "labels": {},
            "result_name": name,
            "kept_versions": 1,
            "uploads": [],
            "deadline": parse_duration(deadline) if deadline else None,
            "max_parallel": max_parallel,
            "state_version": 1,
        }
        answer, before, changes = self.step(
            self.workers[0].stores.jobs.submit(tenant, spec(name, deadline), digest, **asked)
        )
        known = [
            j
            for j in before.jobs.values()
            if key is not None and (j.tenant, j.idempotency_key) == (tenant, key)
        ]
        if known and known[0].spec_digest != digest:
            self.check(isinstance(answer, IdempotencyKeyReused) and not changes, answer)
        elif known:
            self.check((answer[0].id, answer[1], changes) == (known[0].id, True, set()), answer)
        else:
            made = [(u.kind, u.state) for u in self.now.of_job(answer[0].id)]
            self.check(not answer[1] and made == [("plan", "pending")], (answer, made))

    @step_rule(what=st.sampled_from(["pause", "resume", "retry", "cancel", "retry"]), pick=PICK)
    def change_job(self, what, pick):
        getattr(self, what)(self.job(pick))

    def cancel(self, job):
        answer, before, changes = self.step(self.workers[0].stores.jobs.cancel(job.tenant, job.id))
        if job.state in {"succeeded", "failed"}:
            self.check(isinstance(answer, AlreadyDone) and not changes, answer)
        else:
            leased = any(u.state == "leased" for u in before.of_job(job.id))
            ending = job.state == "cancelling" and job.error is not None
            expected = "cancelling" if leased else "failed" if ending else "cancelled"
            now = self.now.jobs[job.id]
            self.check(now.state == expected, f"{job} became {now}")
            self.check(answer == (job.state not in {"cancelling", "cancelled"}), f"{job} changed: {answer}")

    def pause(self, job):
        answer, _, changes = self.step(self.workers[0].stores.jobs.pause(job.tenant, job.id))
        if job.state in {"queued", "running", "paused"}:
            now = self.now.jobs[job.id]
            self.check(now.state == "paused", f"{job} became {now}")
            self.check(answer == (job.state != "paused") == bool(changes), f"{job} changed: {answer}")
        else:
            self.check(isinstance(answer, InvalidState | AlreadyDone) and not changes, answer)

    def resume(self, job):
        answer, _, changes = self.step(self.workers[0].stores.jobs.resume(job.tenant, job.id))
        if job.state in {"queued", "running", "paused"}:
            now = self.now.jobs[job.id]
            self.check(now.state in {"queued", "running"}, f"{job} became {now}")
            self.check(answer == (job.state == "paused") == bool(changes), f"{job} changed: {answer}")
        else:
            self.check(isinstance(answer, InvalidState | AlreadyDone) and not changes, answer)

    def retry(self, job):
        answer, before, changes = self.step(self.workers[0].stores.jobs.retry(job.tenant, job.id))
        if isinstance(answer, Exception):
            expired = isinstance(answer, RetryExpired) and before.now - job.finished_at >= timedelta(hours=24)
            refused = job.state not in {"failed", "cancelled"} and isinstance(
                answer, InvalidState | AlreadyDone
            )
            self.check(not changes and (expired or refused), f"{job}: {answer!r}")
            return
        now = self.now.jobs[job.id]
        self.check(answer is True and job.state in {"failed", "cancelled"}, f"{job} changed: {answer}")
        self.check(now.state in {"queued", "running"}, f"{job} became {now}")
        for old in before.of_job(job.id):
            new = self.now.units.get(old.id)
            if old.kind in {"plan", "chunk"}:
                self.check(new.state == ("done" if old.state == "done" else "pending"), f"{old} became {new}")
                fresh = new.state == "done" or (new.deaths, new.crashes, new.errors, new.ooms) == (0, 0, 0, 0)
                self.check(fresh and new.epoch == job.epoch + 1 == self.now.jobs[job.id].epoch, new)

    @step_rule(what=st.sampled_from(["job", "result", "version"]), pick=PICK)
    def delete(self, what, pick):
        {"job": self.delete_job, "result": self.delete_result, "version": self.delete_version}[what](
            self.job(pick)
        )
        self.forget_gone()

    def delete_job(self, job):
        answer, before, changes = self.step(self.workers[0].stores.deleting.job(job.tenant, job.id))
        version = before.versions.get(job.id)
        refusal = (
            InvalidState
            if job.finished_at is None
            else InUse
            if version is not None and version.name is not None
            else None
        )
        if refusal is not None:
            self.check(isinstance(answer, refusal) and not changes, f"{job} was deleted: {answer!r}")
        else:
            self.check(answer is True and job.id not in self.now.jobs, f"{job} stays: {answer!r}")

    def delete_result(self, job):
        if job.result_name is None:
            return
        answer, before, _ = self.step(self.workers[0].stores.deleting.result(job.tenant, job.result_name))
        owned = self.versions_of(before, job)
        self.check(set(answer) == owned.keys(), f"{owned} lost the rows of {answer}")
        self.check_gone(owned.keys(), job)

    def delete_version(self, job):
        if job.result_name is None:
            return
        answer, before, changes = self.step(
            self.workers[0].stores.deleting.version(job.tenant, job.result_name, job.version)
        )
        owned = self.versions_of(before, job)
        shown = before.results[job.tenant, job.result_name].current
        if job.id not in owned:
            self.check(answer == [] and not changes, f"{job} has no version, yet {answer!r} {changes}")
        elif job.version == shown and len(owned) > 1:
            self.check(isinstance(answer, InUse) and not changes, f"the shown version went: {answer!r}")
        else:
            self.check(answer == [job.id], answer)
            self.check_gone({job.id}, job)

    def versions_of(self, now, job):
        asked = job.tenant, job.result_name
        return {key: row for key, row in now.versions.items() if (row.tenant, row.name) == asked}

    def check_gone(self, job_ids, job):
        """Their rows and tables are; a name without any shows none."""
        left = job_ids & (self.now.versions.keys() | self.now.tables)
        self.check(not left, f"{left} kept their rows")
        shown = self.now.results[job.tenant, job.result_name].current
        self.check(shown is None or self.versions_of(self.now, job), f"{job.result_name} shows {shown}")
