"""What users do, as rules of the protocol's state machine: submit, cancel, pause, resume, retry."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from shared.errors import AlreadyDone, IdempotencyKeyReused, InvalidState, RetryExpired
from shared.spec.values import parse_duration
from tests.support.machine import ProtocolSteps, step_rule
from tests.support.protocol import TENANTS, spec

MAX_JOBS = 4
PICK = st.integers(0, 11)


class UserRules(ProtocolSteps):
    def job(self, pick):
        """The newest first."""
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
    )
    def submit(self, tenant, key, digest, name, deadline, priority=5):
        asked = {
            "idempotency_key": key,
            "priority": priority,
            "labels": {},
            "result_name": name,
            "kept_versions": 1,
            "uploads": [],
            "deadline": parse_duration(deadline) if deadline else None,
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
