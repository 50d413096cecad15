"""The limits of a tenant hold for any number of requests at the same moment, and touch no other tenant."""

import asyncio
from datetime import timedelta

import aiohttp
import pytest

from shared.core.limits import UNLIMITED, Limits
from shared.core.plan import Plan, PlannedColumn, PlanPayload
from shared.core.retry import GiveBack, cause_of, decide
from shared.db import limits
from shared.db.jobs import JobStore
from shared.db.limits import LimitStore, measured
from shared.db.partials import Partial
from shared.db.pruning import PruneStore
from shared.db.unfinished_uploads import UnfinishedUploadStore
from shared.db.units import Done
from shared.db.uploads import UploadStore
from shared.errors import (
    DatabaseUnavailable,
    ScanLimitExceeded,
    StorageLimitExceeded,
    TooManyJobs,
    TooManyUploads,
    TransientError,
    UploadLimitExceeded,
)
from shared.ids import new_id
from shared.spec.version import STATE_VERSION
from tests.integration.test_gateway_keys import as_bearer, command
from tests.support.gateway import SPEC, database, gateway, problem_of, publish, spec_for
from tests.support.store import World, chunks
from worker_service.maintenance.storage import StorageKeeper

HEADERS = ("RateLimit-Policy", "RateLimit", "Retry-After")


def plan(size: int) -> Plan:
    return Plan(files=(), format="csv", schema=(PlannedColumn("k", "int64"),), bytes=size)


async def tenants(settings, *words: str, **changes: str) -> str:
    code, said, complained = await command(settings, "tenants", *words, **changes)
    assert code == 0, complained
    return said


async def key_of(settings, tenant: str) -> dict[str, str]:
    code, said, complained = await command(settings, "keys", "add", "test", "--tenant", tenant)
    assert code == 0, complained
    return as_bearer(said.strip())


def told(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: answer.headers[name] for name in HEADERS if name in answer.headers}


async def limited(world: World, tenant: str, **limits: int) -> LimitStore:
    store = LimitStore(world.pool, Limits())
    await store.set(tenant, limits)
    return store


async def outcomes(*tries) -> list[type]:
    """The errors of things that are done at the same moment; NoneType for those that were done."""
    found = await asyncio.gather(*tries, return_exceptions=True)
    return [type(each) if isinstance(each, Exception) else type(None) for each in found]


async def test_of_many_submits_at_once_as_many_are_taken_as_there_are_places(world):
    await limited(world, "acme", queued_jobs=5)

    found = await outcomes(*(world.submit(tenant="acme") for _ in range(20)))

    assert sorted(found, key=str) == [type(None)] * 5 + [TooManyJobs] * 15
    await world.submit(tenant="other")
    async with world.pool.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM gristmill.jobs WHERE tenant = 'acme'") == 5
        assert await connection.fetchval("SELECT count(*) FROM gristmill.results WHERE tenant = 'acme'") == 0


async def test_a_refused_submit_takes_no_version_and_no_key_and_a_replay_is_never_refused(world):
    await limited(world, "acme", queued_jobs=1)
    job, _ = await world.submit(tenant="acme", key="first", name="sales")

    with pytest.raises(TooManyJobs):
        await world.submit(tenant="acme", key="second", name="sales")

    assert await world.submit(tenant="acme", key="first", name="sales") == (job, True)
    await world.jobs.cancel("acme", job.id)
    again, replayed = await world.submit(tenant="acme", key="second", name="sales")
    assert (again.version, replayed) == (2, False)


async def claims(world: World) -> list[str]:
    """The jobs of all the units that can be claimed."""
    await world.beat("w1", slots=100)
    found = []
    while (lease := await world.units.claim_fairest("w1")) is not None:
        found.append(lease.job_id)
    return found


async def admitted(world: World) -> list[tuple[str, bool]]:
    async with world.pool.connection() as connection:
        rows = await connection.fetch("SELECT id, waits FROM gristmill.jobs ORDER BY id")
    return [tuple(row) for row in rows]


async def test_jobs_above_the_running_limit_wait_and_begin_as_others_end(world):
    store = await limited(world, "acme", running_jobs=2)
    jobs = [(await world.submit(tenant="acme"))[0].id for _ in range(5)]
    other, _ = await world.submit(tenant="other")

    assert sorted(await claims(world)) == sorted([*jobs[:2], other.id])
    await store.let_in()
    assert await claims(world) == []
    await world.jobs.cancel("acme", jobs[3])
    async with world.pool.connection() as connection:
        held = await connection.fetchval("SELECT id FROM gristmill.units WHERE job_id = $1", jobs[0])
    await world.jobs.cancel("acme", jobs[0])
    await world.units.give_back_stray(held, 1, "w1")
    await store.let_in()
    assert await claims(world) == [jobs[2]]
    assert [waits for _, waits in await admitted(world)] == [False, False, False, True, True, False]


async def test_a_waiting_job_neither_rings_nor_counts_as_one_that_waits_for_a_slot(world):
    await limited(world, "acme", running_jobs=1)
    await world.beat("w1", slots=4)
    for _ in range(3):
        await world.submit(tenant="acme")

    assert len(await world.units.due()) == 1


async def test_of_many_submits_at_once_no_more_may_run_than_the_limit_allows(world):
    store = await limited(world, "acme", running_jobs=3)

    await asyncio.gather(
        *(world.submit(tenant="acme") for _ in range(12)), *(store.let_in() for _ in range(6))
    )

    assert sum(not waits for _, waits in await admitted(world)) == 3
    assert len(await claims(world)) == 3


async def test_a_limit_that_is_set_later_holds_jobs_back_and_one_that_is_unset_lets_them_in(
    world,
):
    low, high = [(await world.submit(tenant="acme", priority=each))[0].id for each in (1, 9)]
    store = await limited(world, "acme", running_jobs=1)
    await store.let_in()
    assert await claims(world) == [high]

    await store.set("acme", {"running_jobs": UNLIMITED})
    await store.let_in()
    assert await claims(world) == [low]


async def test_a_paused_job_keeps_its_place_and_a_retried_one_waits_for_one(world):
    await limited(world, "acme", running_jobs=1)
    first, second = [(await world.submit(tenant="acme"))[0].id for _ in range(2)]
    await world.jobs.cancel("acme", second)
    await world.jobs.pause("acme", first)
    await world.jobs.retry("acme", second)

    assert await claims(world) == []
    await world.jobs.resume("acme", first)
    assert await claims(world) == [first]


async def test_the_default_of_the_settings_holds_for_tenants_without_a_limit_of_their_own(world):
    defaults = Limits(running_jobs=1, queued_jobs=2)
    jobs, store = JobStore(world.pool, defaults), LimitStore(world.pool, defaults)
    await store.set("free", {"queued_jobs": UNLIMITED, "running_jobs": UNLIMITED})
    world.jobs = jobs

    for _ in range(5):
        await world.submit(tenant="free")
    found = await outcomes(*(world.submit(tenant="acme") for _ in range(5)))

    assert found.count(TooManyJobs) == 3
    await store.let_in()
    assert len(await claims(world)) == 6


async def planned(world: World, tenant: str, size: int) -> None:
    lease = await world.leased(tenant=tenant)
    await world.units.complete_plan(lease, plan(size), chunks(1))


async def test_of_many_plans_at_once_as_many_are_stored_as_the_day_allows(world):
    store = await limited(world, "acme", scan_bytes_per_day=1000)
    leases = [await world.leased(tenant="acme") for _ in range(8)]

    found = await outcomes(*(world.units.complete_plan(lease, plan(300), chunks(1)) for lease in leases))

    assert sorted(found, key=str) == [type(None)] * 3 + [ScanLimitExceeded] * 5
    assert (await store.use("acme")).scan_bytes_per_day == 900
    await planned(world, "other", 10**12)


async def test_an_error_about_the_bytes_of_a_day_says_limit_use_and_when_to_try_again(world):
    await limited(world, "acme", scan_bytes_per_day=1000)
    await planned(world, "acme", 400)
    lease = await world.leased(tenant="acme")

    with pytest.raises(ScanLimitExceeded) as refused:
        await world.units.complete_plan(lease, plan(700), chunks(1))

    assert refused.value.detail == (
        "The job reads 700 bytes. This tenant may scan 1,000 bytes a day (its limit scan_bytes_per_day) and "
        "has scanned 400 today; try again after 00:00 UTC"
    )
    assert 0 < refused.value.quota.reset <= 86_400
    with pytest.raises(ScanLimitExceeded, match="read fewer bytes, or have the limit raised"):
        await world.units.complete_plan(lease, plan(1001), chunks(1))
    async with world.pool.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM gristmill.units WHERE kind = 'chunk'") == 1


async def test_a_plan_whose_limit_is_unset_as_it_is_refused_runs_again(world, monkeypatch):
    store = await limited(world, "acme", scan_bytes_per_day=10)
    lease = await world.leased(tenant="acme")
    of_tenant = limits.of_tenant

    async def unset_first(*known):
        await store.set("acme", {"scan_bytes_per_day": None})
        return await of_tenant(*known)

    monkeypatch.setattr(limits, "of_tenant", unset_first)
    with pytest.raises(TransientError, match="limit scan_bytes_per_day of this tenant was unset") as raised:
        await world.units.complete_plan(lease, plan(1000), chunks(1))

    assert isinstance(decide(lease.kind, lease.counts, cause_of(raised.value), world.timings), GiveBack)
    await world.units.complete_plan(lease, plan(1000), chunks(1))
    assert (await store.use("acme")).scan_bytes_per_day == 1000


async def test_a_job_that_is_planned_again_is_charged_once(world):
    store = await limited(world, "acme", scan_bytes_per_day=1000)
    lease = await world.leased(tenant="acme")
    await world.units.complete_plan(lease, plan(900), chunks(1))
    await world.units.plan_again(await world.claimed(job_id=lease.job_id), PlanPayload(prove=True))
    again = await world.claimed(job_id=lease.job_id)
    await world.units.complete_plan(again, plan(950), chunks(1))

    assert (await store.use("acme")).scan_bytes_per_day == 950


async def test_a_job_that_is_tried_again_is_not_refused_for_its_own_bytes_and_one_without_a_plan_is(world):
    store = await limited(world, "acme", scan_bytes_per_day=1000)
    unplanned, _ = await world.submit(tenant="acme")
    lease = await world.leased(tenant="acme")
    await world.units.complete_plan(lease, plan(1000), chunks(1))
    for job_id in (lease.job_id, unplanned.id):
        await world.jobs.cancel("acme", job_id)

    assert await world.jobs.retry("acme", lease.job_id)

    assert (await store.use("acme")).scan_bytes_per_day == 1000
    with pytest.raises(ScanLimitExceeded):
        await world.jobs.retry("acme", unplanned.id)


async def test_a_tenant_that_has_scanned_its_bytes_or_is_full_submits_no_job_but_asks_for_plans(world):
    await limited(world, "acme", scan_bytes_per_day=1000)
    await planned(world, "acme", 1000)
    with pytest.raises(ScanLimitExceeded, match="try again after 00:00 UTC"):
        await world.submit(tenant="acme")
    await limited(world, "full", stored_bytes=0)
    with pytest.raises(StorageLimitExceeded, match=r"may have 0 \(its limit stored_bytes\); delete results"):
        await world.submit(tenant="full")

    known = {"idempotency_key": None, "priority": 5, "labels": {}, "result_name": None, "kept_versions": 3,
             "uploads": [], "deadline": None, "state_version": STATE_VERSION}  # fmt: skip
    for tenant in ("acme", "full"):
        await world.jobs.submit(tenant, SPEC, "d", kind="plan", **known)


async def test_of_many_uploads_at_once_as_many_are_kept_as_there_is_room_for(world):
    await limited(world, "acme", uploads=4, upload_bytes=250)
    uploads = UploadStore(world.pool)
    unfinished = UnfinishedUploadStore(world.pool, timedelta(hours=1))

    def whole():
        return uploads.insert("acme", new_id("upl"), filename=None, size=100, sha256="00")

    def begun():
        return unfinished.insert("acme", new_id("upl"), filename=None, metadata=None, size=100, most=100)

    found = await outcomes(*(each() for each in (whole, begun) * 6))

    assert sorted(found, key=str) == [type(None)] * 2 + [UploadLimitExceeded] * 10
    for _ in range(2):
        await uploads.insert("acme", new_id("upl"), filename=None, size=10, sha256="00")
    with pytest.raises(TooManyUploads, match="may have 4 uploads"):
        await uploads.insert("acme", new_id("upl"), filename=None, size=0, sha256="00")


async def scanning(world: World, tenant: str, states: int, count: int = 1) -> str:
    """A job under way of *count* chunks, one of which is done and has so many bytes of states."""
    job_id = await world.planned(count, tenant=tenant)
    lease = await world.claimed(job_id=job_id)
    await world.partials.commit(lease, Done(rows_out=1), iter([Partial(0, 0, 1, bytes(states), states)]))
    return job_id


async def states_of(world: World, job_ids: list[str]) -> list[str]:
    return [await world.state(job_id) for job_id in job_ids]


async def prune(world: World) -> int:
    return await PruneStore(world.pool).partials(timedelta(hours=24))


async def test_the_youngest_job_of_a_tenant_that_stores_too_much_fails_and_its_states_go(world):
    older, younger = [await scanning(world, "acme", 50_000) for _ in range(2)]
    other = await scanning(world, "other", 50_000)
    store = await limited(world, "acme", stored_bytes=60_000)
    keeper = StorageKeeper(store, world.jobs)

    assert (await keeper.run_once()).jobs == 1
    assert (await keeper.run_once()).jobs == 0

    assert await states_of(world, [older, younger, other]) == ["running", "failed", "running"]
    error = await world.value("SELECT error FROM gristmill.jobs WHERE id = $1", younger)
    assert error["code"] == "storage_limit_exceeded"
    assert "take 100,000 bytes in Postgres, and may take 60,000" in error["detail"]
    assert await prune(world) == 1
    assert await store.stored("acme") == 50_000
    assert (await keeper.run_once()).jobs == 0


async def test_no_other_job_fails_while_the_table_of_the_failed_one_waits_for_its_last_unit(world):
    older = [await scanning(world, "acme", 50_000, count=2) for _ in range(3)]
    young = await scanning(world, "acme", 10, count=2)
    lease = await world.claimed(job_id=young)
    async with world.pool.connection() as connection:
        await connection.execute(
            f'CREATE TABLE gristmill_results."{young}" AS '
            "SELECT repeat(md5(n::text), 10) AS t FROM generate_series(1, 3000) n"
        )
    store = await limited(world, "acme", stored_bytes=300_000)

    passes = [(await StorageKeeper(store, world.jobs).run_once()).jobs for _ in range(3)]

    assert passes == [1, 0, 0]
    assert await states_of(world, [*older, young]) == ["running"] * 3 + ["cancelling"]
    await world.units.give_back_stray(lease.id, lease.attempt, "w1")
    await world.jobs.finish_ending(young)
    assert (await StorageKeeper(store, world.jobs).run_once()).jobs == 0
    assert await states_of(world, [*older, young]) == ["running"] * 3 + ["failed"]


async def test_a_worker_that_looks_as_another_one_has_just_stopped_a_job_stops_no_other(world):
    jobs = [await scanning(world, "acme", 50_000) for _ in range(6)]
    store = await limited(world, "acme", stored_bytes=270_000)
    stopping, end = JobStore(world.pool), world.jobs.finish_ending

    async def ended(job_id: str) -> bool:
        done = await end(job_id)
        keepers = [StorageKeeper(store, world.jobs) for _ in range(3)]
        assert [each.jobs for each in await asyncio.gather(*(keeper.run_once() for keeper in keepers))] == [
            0
        ] * 3
        return done

    stopping.finish_ending = ended
    assert (await StorageKeeper(store, stopping).run_once()).jobs == 1

    assert await states_of(world, jobs) == ["running"] * 5 + ["failed"]


async def test_two_jobs_fail_one_after_the_other_if_one_is_not_enough(world):
    jobs = [await scanning(world, "acme", 50_000) for _ in range(3)]
    keeper = StorageKeeper(await limited(world, "acme", stored_bytes=60_000), world.jobs)

    for failed in (1, 2):
        assert (await keeper.run_once()).jobs == 1
        assert await states_of(world, jobs) == ["running"] * (3 - failed) + ["failed"] * failed
        assert await prune(world) == 1
    assert (await keeper.run_once()).jobs == 0


async def test_a_job_that_is_cancelled_as_the_keeper_stops_it_keeps_its_states_for_a_retry(world):
    jobs = [await scanning(world, "acme", 50_000, count=2) for _ in range(2)]
    store = await limited(world, "acme", stored_bytes=60_000)
    measure = store.stored

    async def cancelled_after(tenant: str) -> int | None:
        stored = await measure(tenant)
        await world.jobs.cancel("acme", jobs[1])
        return stored

    store.stored = cancelled_after
    await StorageKeeper(store, world.jobs).run_once()

    assert await states_of(world, jobs) == ["running", "cancelled"]
    assert await prune(world) == 0
    await store.set("acme", {"stored_bytes": UNLIMITED})
    await world.jobs.retry("acme", jobs[1])
    assert await world.value("SELECT count(*) FROM gristmill.partials WHERE job_id = $1", jobs[1]) == 1


async def test_a_table_that_another_session_has_locked_delays_no_submit(world):
    job_id = await world.planned(1, tenant="acme")
    store = await limited(world, "acme", stored_bytes=10**12)
    async with world.pool.connection() as connection:
        await connection.execute(f'CREATE TABLE gristmill_results."{job_id}" AS SELECT 1 AS n')
    async with world.pool.transaction() as other:
        await other.execute(f'LOCK TABLE gristmill_results."{job_id}" IN ACCESS EXCLUSIVE MODE')
        async with asyncio.timeout(20):
            await world.submit(tenant="acme")
            with pytest.raises(DatabaseUnavailable):
                await store.use("acme")
            assert (await StorageKeeper(store, world.jobs).run_once()).jobs == 0
    async with world.pool.transaction() as tx:
        before = await tx.fetchval("SHOW lock_timeout")
        await measured(tx, "acme")
        assert await tx.fetchval("SHOW lock_timeout") == before != "200ms"


async def test_results_count_with_their_indexes_until_they_are_deleted(settings):
    await tenants(settings, "set", "default", "stored_bytes=30k")
    job_id = await publish(settings, {"k": "string"}, [("x" * 1000,)] * 100, name="limits_stored")
    async with gateway(settings) as http:
        async with http.get("/v1/tenant") as answer:
            used = (await answer.json())["limits"]["stored_bytes"]["used"]
        async with database(settings) as connection:
            size = "SELECT pg_total_relation_size(format('gristmill_results.%I', $1::text)::regclass)"
            assert used == await connection.fetchval(size, job_id) > 100_000
        async with http.post("/v1/jobs", json=spec_for(settings)) as answer:
            problem = await problem_of(answer)
            assert (answer.status, problem["code"]) == (429, "storage_limit_exceeded")
            assert told(answer) == {
                "RateLimit-Policy": '"stored_bytes";q=30000',
                "RateLimit": '"stored_bytes";r=0',
            }
        async with http.delete("/v1/results/limits_stored") as answer:
            assert answer.status == 204
        async with http.post("/v1/jobs", json=spec_for(settings)) as answer:
            assert answer.status == 202


async def test_a_problem_about_queued_jobs_says_limit_cure_and_when_to_try_again(settings):
    await tenants(settings, "set", "default", "queued_jobs=2")
    async with gateway(settings) as http:
        for _ in range(2):
            async with http.post("/v1/jobs", json=spec_for(settings)) as answer:
                assert answer.status == 202
        async with http.post("/v1/jobs", json=spec_for(settings)) as answer:
            problem = await problem_of(answer)
            assert (answer.status, problem["code"], problem["category"]) == (429, "too_many_jobs", "quota")
            assert problem["detail"].startswith("2 jobs are queued, the most that this tenant may have")
            assert told(answer) == {
                "RateLimit-Policy": '"queued_jobs";q=2',
                "RateLimit": '"queued_jobs";r=0;t=5',
                "Retry-After": "5",
            }
        async with http.get("/v1/tenant") as answer:
            document = await answer.json()
    assert document["tenant"] == "default"
    assert document["limits"]["queued_jobs"] == {"limit": 2, "used": 2}
    assert document["limits"]["requests_per_second"] == {"limit": None, "used": None}


async def test_a_tenant_that_asks_too_often_waits_and_another_one_does_not(settings):
    await tenants(settings, "set", "acme", "requests_per_second=3")
    acme, other = await key_of(settings, "acme"), await key_of(settings, "other")
    async with gateway(settings) as http:
        app_reads_limits = asyncio.get_running_loop().time() + 5
        found = []
        while 429 not in found:
            assert asyncio.get_running_loop().time() < app_reads_limits
            async with http.get("/v1/jobs", headers=acme) as answer:
                found.append(answer.status)
                if answer.status == 429:
                    problem = await problem_of(answer)
                assert 429 in found or "RateLimit" in answer.headers or len(found) < 100
                last = told(answer)
        assert problem["code"] == "too_many_requests"
        assert "may make 3 requests a second to this gateway" in problem["detail"]
        assert last == {
            "RateLimit-Policy": '"requests_per_second";q=3;w=1',
            "RateLimit": '"requests_per_second";r=0;t=1',
            "Retry-After": "1",
        }
        for _ in range(20):
            async with http.get("/v1/jobs", headers=other) as answer:
                assert (answer.status, told(answer)) == (200, {})
        async with http.get("/readyz", headers=acme) as answer:
            assert answer.status == 200


async def test_an_upload_that_does_not_fit_is_refused_and_leaves_no_file(
    settings,
):
    await tenants(settings, "set", "default", "upload_bytes=1000", "uploads=2")

    async def unsized(size: int):
        for _ in range(size // 100):
            yield b"x" * 100

    async with gateway(settings) as http:
        for body in (b"x" * 1001, unsized(5000)):
            async with http.post("/v1/uploads", data=body) as answer:
                problem = await problem_of(answer)
                assert (answer.status, problem["code"]) == (429, "upload_limit_exceeded")
                assert "may have 1,000 bytes together (its limit upload_bytes)" in problem["detail"]
        async with http.post("/v1/uploads", data=unsized(900)) as answer:
            upload = await answer.json()
            assert answer.status == 201
        tus = {"Tus-Resumable": "1.0.0"}
        async with http.post("/v1/tus", headers=tus | {"Upload-Length": "101"}) as answer:
            assert (await problem_of(answer))["code"] == "upload_limit_exceeded"
        async with http.post("/v1/tus", headers=tus | {"Upload-Length": "100"}) as answer:
            assert answer.status == 201
        async with http.post("/v1/uploads", data=b"") as answer:
            assert (await problem_of(answer))["code"] == "too_many_uploads"
        files = {path.name for path in settings.storage.glob("uploads/*/*")}
        assert files == {upload["id"], answer_id(files, upload["id"])}
        async with http.delete(f"/v1/uploads/{upload['id']}") as answer:
            assert answer.status == 204
        async with http.post("/v1/uploads", data=b"x" * 900) as answer:
            assert answer.status == 201


def answer_id(files: set[str], known: str) -> str:
    [other] = files - {known}
    return other


async def test_uploads_that_arrive_together_fill_no_more_than_the_limit(settings):
    await tenants(settings, "set", "default", "upload_bytes=1000")
    gate = asyncio.Event()

    async def slow():
        yield b"x" * 400
        await gate.wait()
        yield b"x" * 100

    async with gateway(settings) as http:

        async def upload() -> int:
            async with http.post("/v1/uploads", data=slow()) as answer:
                return answer.status

        tries = [asyncio.create_task(upload()) for _ in range(5)]
        refused = 0
        while refused < 3:  # their second blocks have not been sent
            await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED, timeout=20)
            refused = sum(each.done() and each.result() == 429 for each in tries)
            assert not all(each.done() for each in tries)
        gate.set()
        assert sorted(await asyncio.gather(*tries)) == [201, 201, 429, 429, 429]


async def test_the_command_shows_sets_and_unsets_limits_and_names_mistakes(settings):
    shown = await tenants(settings, "set", "acme", "queued_jobs=1k", "stored_bytes=20GiB", "uploads=none",
                          GRISTMILL_TENANT_UPLOADS="7", GRISTMILL_TENANT_RUNNING_JOBS="2")  # fmt: skip
    assert shown.splitlines() == [
        "queued_jobs  1,000 (its own)  used 0",
        "running_jobs  2 (the default)  used 0",
        "scan_bytes_per_day  none (the default)  used 0",
        "stored_bytes  21,474,836,480 (its own)  used 0",
        "uploads  none (its own)  used 0",
        "upload_bytes  none (the default)  used 0",
        "requests_per_second  none (the default)",
    ]
    await tenants(settings, "unset", "acme", "queued_jobs", "uploads")
    assert await tenants(settings, "list") == "acme  stored_bytes=21,474,836,480\ndefault\n"
    for words, said in (
        (("set", "acme", "queue=1"), '"queue" is no limit'),
        (("set", "acme", "running_jobs=0"), "write running_jobs=NUMBER, at least 1"),
        (("set", "acme", "upload_bytes=999999999999T"), "write a number below 9,223,372,036,854,775,807, or"),
        (("set", "acme", "uploads"), "write uploads=NUMBER, at least 0"),
        (("set", "Acme", "uploads=1"), "a tenant is a-z"),
    ):
        code, _, complained = await command(settings, "tenants", *words)
        assert (code, said in complained) == (2, True), complained


async def test_a_tenant_that_is_not_known_is_shown_the_defaults_and_told_a_near_name(settings):
    await tenants(settings, "set", "warehouse", "uploads=1")
    for words in (("show", "warehose"), ("unset", "warehose", "uploads")):
        code, said, complained = await command(settings, "tenants", *words)
        assert (code, complained.strip()) == (1, 'Tenant warehose is not known; did you mean "warehouse"?')
        assert said.startswith("queued_jobs  none (the default)  used 0\n") == (words[0] == "show")
    code, _, complained = await command(settings, "tenants", "show", "zoo")
    assert (code, "`gristmill server tenants list` shows those that are" in complained) == (1, True)
    assert "warehose" not in await tenants(settings, "list")
    await tenants(settings, "show", "default")


async def test_a_default_that_is_set_later_holds_for_a_tenant_without_limits_of_its_own(world):
    low, high = [(await world.submit(tenant="acme", priority=each))[0].id for each in (1, 9)]

    await LimitStore(world.pool, Limits(running_jobs=1)).let_in()

    assert await admitted(world) == [(low, True), (high, False)]
    await LimitStore(world.pool, Limits()).let_in()
    assert await admitted(world) == [(low, False), (high, False)]
