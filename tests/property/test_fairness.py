"""A neighbour's small job starts within 20 s, whatever one tenant submits.

Every unit ends, whatever others submit.

The claims, heartbeats and commits are the product's own, on real Postgres; only the clock is logical, and a
unit's work is a number of seconds.
"""

import math
import os
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.core.fairness import PREEMPTIBLE, Held, preempted
from shared.db.workers import WorkerStore
from shared.spec.version import STATE_VERSION
from tests.support.protocol import LONG_PUBLISH_ROWS, World, spec
from worker_service.maintenance.heartbeat import Heartbeat

BOUND = 20
PROTECTED = timedelta(seconds=10)
EXAMPLES = int(os.environ.get("GRISTMILL_HYPOTHESIS_EXAMPLES", "4"))

# --- the decision -------------------------------------------------------------------------------------------

LEASES = st.lists(
    st.builds(
        Held,
        unit=st.integers(1, 10**6),
        attempt=st.just(1),
        worker=st.just("w"),
        tenant=st.sampled_from("abc"),
        kind=st.sampled_from(["plan", "chunk", "merge", "publish"]),
        preemptions=st.integers(0, 40),
        ran=st.integers(0, 10**5).map(lambda seconds: timedelta(seconds=seconds)),
    ),
    max_size=8,
    unique_by=lambda lease: lease.unit,
)


@given(LEASES, st.integers(0, 5), st.integers(-2, 5))
def test_only_plans_and_chunks_that_have_run_for_their_time_make_room_and_no_more_than_are_needed(
    leases, waiting, free
):
    chosen = preempted(leases, waiting=waiting, free=free, protected=PROTECTED)

    assert len({lease.unit for lease in chosen}) == len(chosen) <= max(0, waiting - free)
    assert all(lease in leases and lease.kind in PREEMPTIBLE and lease.ran >= PROTECTED for lease in chosen)


@given(LEASES)
def test_a_tenant_that_holds_every_slot_never_keeps_them_by_having_been_preempted_before(leases):
    own = [lease for lease in leases if lease.tenant == "a"]
    ripe = [lease for lease in own if lease.kind in PREEMPTIBLE and lease.ran >= PROTECTED]

    chosen = preempted(own, waiting=1, free=0, protected=PROTECTED)

    assert bool(chosen) == bool(ripe) or len(own) == 1
    assert not chosen or chosen[0].ran == min(lease.ran for lease in ripe), "the youngest"


@given(st.integers(0, 10), st.integers(0, 10**6))
def test_the_only_lease_of_a_tenant_is_let_alone_twice_as_long_each_time(preemptions, seconds):
    only = Held(
        unit=1,
        attempt=1,
        worker="w",
        tenant="a",
        kind="chunk",
        preemptions=preemptions,
        ran=timedelta(seconds=seconds),
    )

    assert bool(preempted([only], waiting=1, free=0, protected=PROTECTED)) == (
        only.ran >= PROTECTED * 2**preemptions
    )


# --- a cluster in logical time ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Demand:
    """A job: its time of submission, the seconds of each kind of unit, and the number of chunks."""

    at: int
    tenant: str
    plan: int = 0
    chunk: int = 0
    chunks: int = 1
    publish: int = 0
    priority: int = 5

    def seconds(self, kind: str) -> int:
        return {"plan": self.plan, "chunk": self.chunk, "merge": 1, "publish": self.publish}[kind]


@dataclass(eq=False)
class Slot:
    """A slot of a worker, and the unit of its child."""

    worker: str
    lease: Any = None
    ends: int = 0


@dataclass
class Cluster:
    """Workers, as far as they decide which unit gets which slot.

    A free slot looks once a second, as if each message took that long.
    """

    world: World
    slots: list[int]
    now: int = 0
    jobs: dict[str, Demand] = field(default_factory=dict)
    started: dict[str, int] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world.reset()
        self.stores = self.world.stores(STATE_VERSION)
        self.places = [Slot(f"w{no}") for no, count in enumerate(self.slots) for _ in range(count)]

    async def run(self, demands: list[Demand], until: int) -> None:
        due = sorted(demands, key=lambda demand: demand.at)
        while self.now < until and (due or await self._open()):
            while due and due[0].at <= self.now:
                await self._submit(due.pop(0))
            for no in range(len(self.slots)):
                if (self.now + no) % 3 == 0:
                    await self._beat(f"w{no}")
            for slot in self.places:
                await self._work(slot)
            self.world.clock.advance(timedelta(seconds=1))
            self.now += 1

    async def _open(self) -> bool:
        return any(
            [
                not (await self.stores.jobs.get(demand.tenant, job_id)).done
                for job_id, demand in self.jobs.items()
            ]
        )

    async def _submit(self, demand: Demand) -> None:
        known = {
            "idempotency_key": None,
            "priority": demand.priority,
            "labels": {},
            "result_name": None,
            "kept_versions": 1,
            "uploads": [],
            "deadline": None,
            "state_version": STATE_VERSION,
        }
        job, _ = await self.stores.jobs.submit(demand.tenant, spec(None, None), "d", **known)
        self.jobs[job.id] = demand

    async def _work(self, slot: Slot) -> None:
        """One second of a Runner's slot; units that take no time follow each other within it."""
        units, lease = self.stores.units, slot.lease
        if lease is not None and self.now < slot.ends:
            return
        while True:
            if lease is None:
                lease = await units.claim_fairest(slot.worker, after=self.served.get(slot.worker))
            else:
                await self.stores.commit(lease, self.jobs[lease.job_id].chunks)
                last, lease = lease.job_id, None
                lease = await units.claim_of_job(slot.worker, last)
                if lease is None and await self.stores.advance(last):
                    lease = await units.claim_of_job(slot.worker, last)
                lease = lease or await units.claim_fairest(slot.worker, after=last)
            slot.lease = lease
            if lease is None:
                return
            self.served[slot.worker] = lease.job_id
            self.started.setdefault(lease.job_id, self.now)
            slot.ends = self.now + self.jobs[lease.job_id].seconds(lease.kind)
            if slot.ends > self.now:
                return

    async def _beat(self, worker: str) -> None:
        """The product's heartbeat; a slot that it preempts is free at once."""
        mine = {
            (slot.lease.id, slot.lease.attempt): slot
            for slot in self.places
            if slot.worker == worker and slot.lease
        }
        chosen: set[tuple[int, int]] = set()

        def preempt(leases):
            chosen.update(leases)
            return len(chosen)

        count, ctx = self.slots[int(worker[1:])], self.stores.context
        slots = SimpleNamespace(
            leases=set(mine),
            able=count,
            count=count,
            draining=False,
            preempt=preempt,
            stop_unwanted=lambda *_: 0,
            unheard=lambda *_: set(),
        )
        await Heartbeat(worker, WorkerStore(ctx.pool), ctx.units, ctx.pool, slots, ctx.timings).run_once()
        for slot in (mine[key] for key in chosen):
            await self.stores.units.give_back(slot.lease, "preemption", delay=ctx.timings.heartbeat)
            slot.lease = None


@pytest.fixture(scope="module")
def world(postgres, tmp_path_factory):
    from tests.support.databases import own_database

    with own_database(postgres, "fairness") as dsn, pytest.MonkeyPatch.context() as patch:
        world = World(dsn, tmp_path_factory.mktemp("fairness"))
        patch.setattr("shared.core.fan_in.LONG_PUBLISH_ROWS", LONG_PUBLISH_ROWS)
        patch.setattr("shared.core.fan_in.ROW_BYTES", 2**40)
        patch.setattr("shared.db.fan_in.PARTIAL_COST_BYTES", 0)
        patch.setattr("shared.db.jobs.new_id", world.new_id)
        yield world
        world.close()


SECONDS = st.sampled_from([0, 1, 15, 45, 90])
HOSTILE = st.lists(
    st.one_of(
        st.builds(
            Demand,
            at=st.integers(0, 30),
            tenant=st.just("hostile"),
            plan=SECONDS,
            chunk=SECONDS,
            chunks=st.just(1),
            publish=st.sampled_from([0, 3]),
            priority=st.sampled_from([5, 9]),
        ),
        # More rows than LONG_PUBLISH_ROWS, so the publish is long.
        st.builds(
            Demand,
            at=st.integers(0, 30),
            tenant=st.just("hostile"),
            plan=st.sampled_from([0, 15]),
            chunk=st.sampled_from([0, 15, 45]),
            chunks=st.sampled_from([2, 3]),
            publish=st.sampled_from([0, 60]),
        ),
    ),
    min_size=1,
    max_size=4,
)
SMALL = st.lists(
    st.builds(Demand, at=st.integers(0, 90), tenant=st.just("neighbour")), min_size=1, max_size=3
)
LAYOUT = st.sampled_from([[2], [1, 1], [3], [2, 2]])


def work_of(demands: list[Demand]) -> int:
    return sum(demand.plan + demand.chunk * demand.chunks + 1 + demand.publish for demand in demands)


def slow(**options):
    checks = list(HealthCheck)
    return settings(
        max_examples=EXAMPLES,
        derandomize=True,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=checks,
        **options,
    )


# fault matrix: 56
@pytest.mark.timeout(1800)
@slow()
@given(slots=LAYOUT, hostile=HOSTILE, small=SMALL)
def test_a_neighbours_small_job_starts_within_20_s_whatever_one_tenant_submits_and_every_unit_ends(
    world, slots, hostile, small
):
    cluster = Cluster(world, slots)
    world.run(cluster.run([*hostile, *small], until=120 + 3 * work_of(hostile)))

    waits = {
        job: cluster.started[job] - demand.at
        for job, demand in cluster.jobs.items()
        if demand.tenant == "neighbour"
    }
    assert len(waits) == len(small)
    assert max(waits.values()) <= BOUND, f"{waits} beside {hostile}"
    assert {job.state for job in world.look().jobs.values()} == {"succeeded"}
    found = world.look().units.values()
    assert all(unit.deaths + unit.crashes + unit.errors + unit.ooms == 0 for unit in found), (
        "no unit is charged"
    )
    assert all(unit.kind in PREEMPTIBLE for unit in found if unit.preemptions)


# fault matrix: 56
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "seconds", "others"),
    [("chunk", 45, 2), *(pytest.param(kind, 90, 3, marks=pytest.mark.full) for kind in ("plan", "chunk"))],
)
def test_a_unit_ends_on_the_only_slot_though_other_tenants_submit_without_end(world, kind, seconds, others):
    """Each of the other tenants always has a job whose chunk takes as long as that unit."""
    cluster = Cluster(world, [1])
    end = 40 + 4 * (others + 1) * seconds
    flood = [
        Demand(at=at, tenant=f"other{no}", chunk=seconds)
        for no in range(others)
        for at in range(0, end, seconds)
    ]
    patient = Demand(at=1, tenant="patient", **{kind: seconds})
    world.run(cluster.run([patient, *flood], until=end))

    [job] = [job for job, demand in cluster.jobs.items() if demand is patient]
    units = world.look().of_job(job, kind)
    assert [unit.state for unit in units] == ["done"], f"after {end} s: {units}"
    assert units[0].preemptions <= math.log2(seconds / 10) + 1
