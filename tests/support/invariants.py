"""The invariants of the protocol's tables, written a second time and apart from the code.

They hold in one snapshot (`broken`), and between two in a row (`unlawful`).
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

from tests.support.protocol import Snapshot, buckets

LEASE = timedelta(seconds=10)
HEARTBEAT = timedelta(seconds=3)
PROTECTED = timedelta(seconds=10)
PHASES = ["planning", "scanning", "merging", "publishing"]


def alive(now: Snapshot, worker: str | None) -> bool:
    row = now.workers.get(worker)
    return row is not None and row.seen_at > now.now - LEASE


def expired(now: Snapshot) -> list[Any]:
    return [
        u
        for u in now.units.values()
        if u.state == "leased" and (not alive(now, u.worker) or u.deadline_at <= now.now)
    ]


def ready(now: Snapshot, unit: Any) -> bool:
    return (
        unit.state == "pending"
        and unit.not_before <= now.now
        and now.jobs[unit.job_id].state in {"queued", "running"}
    )


def claimable(now: Snapshot, unit: Any, state_version: int) -> bool:
    job = now.jobs[unit.job_id]
    ours = unit.epoch == job.epoch and unit.state_version == state_version
    room = room_for_chunk(now, job) and (not long(unit) or room_for_long(now, job.tenant))
    return ready(now, unit) and ours and room


def limited(job: Any) -> bool:
    """Whether the job may have only so many leases at once now. Then its chunks join no fold."""
    return job.max_parallel is not None and job.phase == "scanning"


def room_for_chunk(now: Snapshot, job: Any) -> bool:
    return not limited(job) or leased_of(now, job) < job.max_parallel


def leased_of(now: Snapshot, job: Any) -> int:
    return sum(u.state == "leased" for u in now.of_job(job.id))


def long(unit: Any) -> bool:
    return unit.kind in {"merge", "publish"} and "long" in json.loads(unit.payload)


def live_slots(now: Snapshot) -> dict[str, int]:
    return {w.id: w.slots for w in now.workers.values() if alive(now, w.id) and not w.draining}


def room_for_long(now: Snapshot, tenant: str) -> bool:
    """A tenant's long merges and publishes leave a slot to the others, if there are two."""
    taken = sum(
        u.state == "leased" and long(u) and now.jobs[u.job_id].tenant == tenant for u in now.units.values()
    )
    return taken < max(1, sum(live_slots(now).values()) - 1)


def in_need(now: Snapshot, state_version: int) -> int:
    """How many tenants have waited for a heartbeat without any lease, beyond the free slots."""
    patient = {
        now.jobs[u.job_id].tenant
        for u in now.units.values()
        if ready(now, u) and u.state_version == state_version and u.not_before <= now.now - HEARTBEAT
    }
    live = live_slots(now)
    busy = sum(at_work(u) and u.worker in live for u in now.units.values())
    return sum(leases_of(now, tenant) == 0 for tenant in patient) - (sum(live.values()) - busy)


def may_make_room(now: Snapshot, state_version: int) -> set[int]:
    """The units of which one has to make room, if a tenant is in need.

    They belong to the tenants with the most leases, and have run for their protected time.
    """
    live = live_slots(now)
    leased = [
        u for u in now.units.values() if at_work(u) and u.worker in live and u.state_version == state_version
    ]
    held: dict[str, list[Any]] = {}
    for unit in leased:
        held.setdefault(now.jobs[unit.job_id].tenant, []).append(unit)
    rich = [units for units in held.values() if any(u.kind in {"plan", "chunk"} for u in units)]
    most = max(map(len, rich), default=0)
    return {
        u.id
        for units in rich
        for u in units
        if len(units) == most
        and u.kind in {"plan", "chunk"}
        and now.now - u.leased_at >= PROTECTED * (2**u.preemptions if most == 1 else 1)
    }


def at_work(unit: Any) -> bool:
    """The leases of a fold are one slot at work: its first."""
    return unit.state == "leased" and unit.fold is None


def held(now: Snapshot, unit: Any) -> bool:
    """Whether the slot has leased a later unit of the same fold."""
    return any(
        (u.state, u.job_id, u.worker, u.fold) == ("leased", unit.job_id, unit.worker, unit.fold or unit.id)
        and u.leased_at > unit.leased_at
        for u in now.units.values()
    )


def leases_of(now: Snapshot, tenant: str) -> int:
    return sum(at_work(u) and now.jobs[u.job_id].tenant == tenant for u in now.units.values())


def holds(now: Snapshot, lease: Any) -> bool:
    unit = now.units.get(lease.id)
    return unit is not None and (unit.state, unit.attempt, unit.worker) == (
        "leased",
        lease.attempt,
        lease.worker,
    )


def done_by(now: Snapshot, lease: Any) -> bool:
    unit = now.units.get(lease.id)
    return unit is not None and (unit.state, unit.attempt, unit.worker) == (
        "done",
        lease.attempt,
        lease.worker,
    )


def stuck(now: Snapshot) -> list[Any]:
    """Jobs that nothing but a sweeper can bring on: their fan-in, or their end, was lost."""
    busy = {u.job_id for u in now.units.values() if u.state in {"pending", "leased"}}
    return [job for job in now.jobs.values() if job.state in {"running", "cancelling"} and job.id not in busy]


def broken(now: Snapshot) -> Iterator[str]:
    """Every violation that one look can show."""
    for job in now.jobs.values():
        units = now.of_job(job.id)
        for rule in (_ended, _limit, _fan_in, _epochs, _chunks, _result):
            yield from (f"{job.id}: {what}" for what in rule(now, job, units))
    for (tenant, name), result in now.results.items():
        versions = [v.version for v in now.versions.values() if (v.tenant, v.name) == (tenant, name)]
        if versions and result.current != max(versions):
            yield f"{tenant}.{name} shows version {result.current} of {versions}"
    if strangers := {key[0] for key in now.partials} - now.jobs.keys():
        yield f"partials of unknown jobs {strangers}"
    if strangers := (now.tables | now.versions.keys()) - now.jobs.keys():
        yield f"tables or versions of unknown jobs {strangers}"


def _ended(now: Snapshot, job: Any, units: list[Any]) -> Iterator[str]:
    if job.finished_at and (left := [u.id for u in units if u.state in {"pending", "leased"}]):
        yield f"is {job.state}, but units {left} are not at an end"
    if job.state == "cancelling" and any(u.state == "pending" for u in units):
        yield "is ending and has a pending unit"
    if (job.state == "failed") != (job.error is not None) and job.state != "cancelling":
        yield f"is {job.state} with error {job.error}"
    if job.state != "succeeded" and job.finished_at and job.id in now.tables:
        yield f"is {job.state} and left its table"


def _limit(now: Snapshot, job: Any, units: list[Any]) -> Iterator[str]:
    if limited(job) and leased_of(now, job) > job.max_parallel:
        yield f"has {leased_of(now, job)} chunks leased, and may have {job.max_parallel}"


def _fan_in(now: Snapshot, job: Any, units: list[Any]) -> Iterator[str]:
    by_kind = {kind: [u for u in units if u.kind == kind] for kind in ("plan", "chunk", "merge", "publish")}
    phase = PHASES.index(job.phase)
    if len(by_kind["plan"]) != 1:
        yield "has not one plan"
    for kind, earlier, first in (("chunk", "plan", 1), ("merge", "chunk", 2), ("publish", "merge", 3)):
        if by_kind[kind] and phase < first:
            yield f"has {kind} units while {job.phase}"
        if (
            phase >= first
            and job.state != "cancelling"
            and not job.finished_at
            and any(u.state != "done" for u in by_kind[earlier])
        ):
            yield f"is {job.phase} before every {earlier} is done"
    payloads = [json.loads(u.payload) for u in by_kind["merge"]]
    ranges = sorted((p["first"], p["end"]) for p in payloads)
    if phase >= 2 and (
        ranges[0][0] != 0 or ranges[-1][1] != 1024 or any(a[1] != b[0] for a, b in pairwise(ranges))
    ):
        yield f"merges {ranges}"
    if phase == 3 and len(by_kind["publish"]) != 1:
        yield f"has {len(by_kind['publish'])} publish units"
    if phase >= 2 and not job.finished_at and job.id not in now.tables:
        yield "merges into no table"


def _epochs(now: Snapshot, job: Any, units: list[Any]) -> Iterator[str]:
    if not job.finished_at and any(u.epoch != job.epoch for u in units):
        yield f"is in epoch {job.epoch}, its units in {[u.epoch for u in units]}"
    if len({u.state_version for u in units}) > 1:
        yield f"mixes state versions {[(u.kind, u.state_version) for u in units]}"
    for unit in units:
        if unit.deaths + unit.crashes + unit.errors + unit.ooms + unit.preemptions > unit.attempt:
            yield f"unit {unit.id} is charged more often than it was leased"


def _chunks(now: Snapshot, job: Any, units: list[Any]) -> Iterator[str]:
    """Ledger and partials agree.

    The states of a done chunk are there once, all by its last attempt. No other chunk has any.
    """
    states = [
        state
        for (owner, *_), row in now.partials.items()
        if owner == job.id
        for state in json.loads(row.data)
    ]
    for unit in units:
        found = [state for state in states if state["chunk"] == unit.no]
        if unit.kind != "chunk" or (not found and (unit.state != "done" or job.finished_at)):
            continue
        writers = {(state["unit"], state["attempt"]) for state in found}
        inside = sorted(bucket for state in found for bucket in state["buckets"])
        if unit.state != "done" or writers != {(unit.id, unit.attempt)} or inside != buckets(unit.no):
            yield f"chunk {unit.no} is {unit.state} at attempt {unit.attempt}; its states are {found}"


def _result(now: Snapshot, job: Any, units: list[Any]) -> Iterator[str]:
    if job.state == "succeeded" and any(u.state != "done" for u in units):
        yield "succeeded with unfinished units"
    if job.id in now.versions and (job.state != "succeeded" or job.id not in now.tables):
        yield f"is {job.state} and has a version, the table is {'' if job.id in now.tables else 'not '}there"
    if job.state == "succeeded" and job.id in now.tables and job.id not in now.versions:
        yield "has lost its version and kept its table"


def unlawful(old: Snapshot, new: Snapshot) -> Iterator[str]:
    """Every violation that shows between two looks, one operation or several apart.

    A retry is allowed at any time.
    """
    for key, job in old.jobs.items():
        if key in new.jobs:
            yield from (f"{key} {what}" for what in _job_unlawful(job, new.jobs[key]))
        elif not job.finished_at:
            yield f"{key} vanished while {job.state}"
    for key, unit in old.units.items():
        if key in new.units:
            yield from (f"unit {key} {what}" for what in _unit_unlawful(unit, new.units[key]))
    for key, result in old.results.items():
        later = new.results[key].current
        if later is not None and (result.current or 0) > later:
            yield f"{key} shows an older version again"


def _job_unlawful(before: Any, after: Any) -> Iterator[str]:
    if after.epoch == before.epoch:
        if before.finished_at and (before.state, before.finished_at) != (after.state, after.finished_at):
            yield f"was {before.state} and is {after.state}"
        if PHASES.index(after.phase) < PHASES.index(before.phase):
            yield f"went back from {before.phase} to {after.phase}"
    if before.state == "succeeded" and after.state != "succeeded":
        yield f"had succeeded and is {after.state}"
    if after.epoch < before.epoch or after.revision < before.revision:
        yield "has a lower epoch or revision than before"


def _unit_unlawful(before: Any, after: Any) -> Iterator[str]:
    if after.attempt < before.attempt:
        yield f"fell from attempt {before.attempt} to {after.attempt}"
    if after.epoch == before.epoch:
        if before.state in {"done", "failed", "cancelled"} and (before.state, before.attempt) != (
            after.state,
            after.attempt,
        ):
            yield f"was {before.state} and is {after.state}"
        if before.state == "done" and before != after:
            yield "was rewritten after it was done"
        if any(
            getattr(after, count) < getattr(before, count)
            for count in ("deaths", "crashes", "errors", "ooms", "preemptions")
        ):
            yield "was forgiven a charge"
        if (
            before.state == after.state == "leased"
            and (before.attempt, before.worker) == (after.attempt, after.worker)
            and before != after
        ):
            yield "changed while it was leased"
