"""The history of a job: an entry exists if and only if its cause is committed, and there is a bound."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.core.history import MOST_ENTRIES, Event
from shared.db import ending, history, jobs, units
from shared.db.history import HistoryStore
from shared.db.pool import connect
from shared.db.verify import violations
from shared.errors import LeaseLost
from tests.support.gateway import gateway, problem_of, spec_for
from tests.support.store import PROBLEM, WIDER, World, chunks


@pytest.fixture
async def world(database_url):
    world = World(database_url)
    await world.beat()
    yield world
    await world.pool.close()


async def entries_of(world, job_id, after=0):
    entries, further = await HistoryStore(world.pool).page("default", job_id, after=after, limit=2000)
    assert not further
    return entries


async def told(world, job_id):
    entries = await entries_of(world, job_id)
    return [entry.event for entry in entries]


async def untold(pool):
    """What `verify` finds wrong with the histories."""
    return [found for found in await violations(pool) if found.startswith("history_")]


async def test_each_step_of_a_job_is_an_entry(world):
    plan = await world.leased()
    job_id = plan.job_id
    await world.jobs.pause("default", job_id, "ann")
    await world.jobs.resume("default", job_id, "bob")
    await world.units.give_back(plan, "crash", problem=PROBLEM)
    await world.units.complete_plan(await world.claimed(job_id=job_id), WIDER, chunks(2))
    await world.units.widen(await world.claimed(job_id=job_id), WIDER)
    await world.units.fail(await world.claimed(job_id=job_id), PROBLEM)
    await world.jobs.retry("default", job_id, "cid")
    await world.finish(job_id)

    entries = await entries_of(world, job_id)
    assert [(e.no, e.event, e.count) for e in entries] == [
        (no, event, 1)
        for no, event in enumerate(
            [
                "submitted",
                "paused",
                "resumed",
                "attempt_failed",
                "planned",
                "widened",
                "attempt_failed",
                "failed",
                "retried",
                "published",
                "succeeded",
            ],
            1,
        )
    ]
    said = [e.said for e in entries]
    assert [said[no]["actor"] for no in (1, 2, 8)] == ["ann", "bob", "cid"]
    assert said[3] == {
        "kind": "plan", "no": 0, "attempt": 1, "worker": "w1", "charge": "crash", "error": PROBLEM
    }  # fmt: skip
    assert said[4] == {"files": 0, "bytes": 0, "chunks": 2}
    assert (said[6]["kind"], said[6]["no"], said[6]["final"], said[6]["error"]) == ("chunk", 0, True, PROBLEM)
    assert said[7] == {"error": PROBLEM}
    assert said[9] == {"rows": 0}
    assert [e.at for e in entries] == sorted(e.at for e in entries)
    assert await untold(world.pool) == []
    assert [(f.attempt, f.charge) for f in await failures_of(world, job_id, "plan")] == [(1, "crash")]
    assert [(f.attempt, f.final) for f in await failures_of(world, job_id, "chunk")] == [(2, True)]


async def failures_of(world, job_id, kind):
    """Those of the first unit of a kind."""
    units, _ = await world.jobs.units(job_id, [kind], state=None, after=-1, limit=1)
    return units[0].failures


async def test_a_cancelled_job_and_one_past_its_deadline_say_so(world):
    job_id = (await world.leased()).job_id
    await world.jobs.cancel("default", job_id, "ann")
    assert await told(world, job_id) == ["submitted", "cancel_requested"], "a unit is leased still"
    late = (await world.submit(deadline="1s"))[0].id
    await world.value("UPDATE gristmill.jobs SET deadline_at = now() WHERE id = $1 RETURNING 1", late)
    await world.jobs.fail_overdue()
    assert await told(world, late) == ["submitted", "deadline_passed", "failed"]
    await world.jobs.fail_overdue()
    assert len(await told(world, late)) == 3
    assert await untold(world.pool) == []


async def test_what_changes_nothing_is_no_entry(world):
    """A lease that is lost, a chunk's success, and an attempt that ends because its job does."""
    job_id = await world.planned(2)
    lease = await world.claimed(job_id=job_id)
    await world.commit(lease)
    await world.units.give_back(lease, "crash")
    await world.units.fail(lease, PROBLEM)
    with suppress(LeaseLost):
        await world.units.widen(lease, WIDER)
    await world.jobs.resume("default", job_id)
    other = await world.claimed(job_id=job_id)
    await world.jobs.cancel("default", job_id)
    await world.jobs.cancel("default", job_id)
    await world.units.give_back(other, "nothing", problem=PROBLEM)
    assert await told(world, job_id) == ["submitted", "planned", "cancel_requested", "cancelled"]


async def test_beyond_the_bound_events_are_counted_by_their_kind(world):
    job_id = (await world.submit())[0].id
    await world.value(
        "INSERT INTO gristmill.job_events (job_id, no, at, event, said)"
        " SELECT $1, no, now(), 'attempt_failed', '{}' FROM generate_series(2, $2::integer) AS no"
        " RETURNING 1",
        job_id,
        MOST_ENTRIES - 1,
    )
    for turn in range(3):
        await world.units.give_back(await world.claimed(job_id=job_id), "error")
        await world.value(
            "UPDATE gristmill.units SET not_before = now() WHERE job_id = $1 RETURNING 1", job_id
        )
        await world.jobs.pause("default", job_id, f"ann {turn}")
        await world.jobs.resume("default", job_id)

    entries = await entries_of(world, job_id, MOST_ENTRIES - 1)
    assert [(e.event, e.count) for e in entries] == [
        ("attempt_failed", 1),
        ("attempt_failed", 2),
        ("paused", 3),
        ("resumed", 3),
    ]
    assert entries[2].said == {"actor": "ann 2"}
    assert await untold(world.pool) == []


async def test_every_event_has_its_place_beyond_the_bound(world):
    job_id = (await world.submit())[0].id
    await world.value(
        "UPDATE gristmill.job_events SET no = $2 WHERE job_id = $1 RETURNING 1", job_id, MOST_ENTRIES
    )
    async with world.pool.transaction() as tx:
        for event in Event:
            await history.note(tx, job_id, event)
    entries = await entries_of(world, job_id, MOST_ENTRIES)
    assert [e.event for e in entries] == list(Event)


class Killed(BaseException):
    """In place of SIGKILL: the transaction ends without COMMIT."""


@pytest.mark.parametrize(
    ("module", "point", "act", "entries"),
    [
        (jobs, "submit.before_commit", "submit", []),
        (jobs, "submit.after_commit", "submit", ["submitted"]),
        (jobs, "cancel.ending", "cancel", ["submitted", "planned"]),
        (ending, "end.before_commit", "cancel", ["submitted", "planned", "cancel_requested"]),
        (jobs, "retry.before_commit", "retry", ["submitted", "planned", "cancel_requested", "cancelled"]),
        (units, "give_back.before_commit", "give back", ["submitted", "planned"]),
        (units, "widen.mid", "widen", ["submitted", "planned"]),
        (units, "plan_again.mid", "plan again", ["submitted", "planned"]),
        (units, "plan.before_commit", "plan", ["submitted"]),
    ],
)  # fmt: skip
async def test_a_death_before_the_commit_leaves_no_entry(world, monkeypatch, module, point, act, entries):
    job_id, doing = await about_to(world, act)

    def die(name):
        if name == point:
            raise Killed(name)

    monkeypatch.setattr(module, "reached", die)
    with pytest.raises(Killed):
        await doing()
    if act == "submit":
        known = await world.jobs.replayed("default", "key", {"d"})
        assert (await told(world, known.id) if known else []) == entries
    else:
        assert await told(world, job_id) == entries
    assert await untold(world.pool) == []


async def about_to(world, act):
    """A job, and a step of it that is about to be made."""
    if act == "plan":
        plan = await world.leased()
        return plan.job_id, lambda: world.units.complete_plan(plan, WIDER, chunks(1))
    job_id = await world.planned(1)
    if act == "retry":
        await world.jobs.cancel("default", job_id)
        return job_id, lambda: world.jobs.retry("default", job_id)
    lease = await world.claimed(job_id=job_id) if act in {"give back", "widen", "plan again"} else None
    return job_id, {
        "submit": lambda: world.submit("key"),
        "cancel": lambda: world.jobs.cancel("default", job_id),
        "give back": lambda: world.units.give_back(lease, "crash"),
        "widen": lambda: world.units.widen(lease, WIDER),
        "plan again": lambda: world.units.plan_again(lease, None),
    }[act]


async def test_ends_of_attempts_and_orders_at_once_are_numbered_without_a_gap(world):
    job_id = await world.planned(6)
    leases = [await world.claimed(job_id=job_id) for _ in range(6)]
    await asyncio.gather(
        *(world.units.give_back(lease, "error", delay=timedelta()) for lease in leases),
        world.jobs.pause("default", job_id),
        *(world.units.fail(lease, PROBLEM) for lease in leases[:3]),
        return_exceptions=True,
    )
    entries = await entries_of(world, job_id)
    assert [e.no for e in entries] == list(range(1, len(entries) + 1))
    of_units = [(e.said["kind"], e.said["no"]) for e in entries if e.event == "attempt_failed"]
    assert sorted(of_units) == [("chunk", no) for no in range(6)], "one entry for each unit"
    assert await untold(world.pool) == []


async def test_the_gateway_shows_it_page_by_page(settings):
    async with gateway(settings) as http:
        async with http.post("/v1/jobs", json=spec_for(settings)) as response:
            path = f"/v1/jobs/{(await response.json())['id']}"
        for order in ("pause", "resume", "cancel"):
            async with http.post(f"{path}/{order}") as response:
                assert response.status == 202
        found, after = [], ""
        while after is not None:
            async with http.get(f"{path}/history?limit=2{after and '&after=' + after}") as response:
                page = await response.json()
            found += page["items"]
            after = page["next"]
        assert [(entry["event"], entry.get("actor")) for entry in found] == [
            ("submitted", "default"),
            ("paused", "default"),
            ("resumed", "default"),
            ("cancel_requested", "default"),
            ("cancelled", None),
        ]
        async with http.get("/v1/jobs/job_00000000000000000000000000/history") as response:
            assert (await problem_of(response))["code"] == "not_found"
        async with http.get(f"{path}/history?after=x") as response:
            assert (await problem_of(response))["code"] == "invalid_cursor"
    pool = connect(settings.database_url, name="test")
    assert await untold(pool) == []
    await pool.close()
