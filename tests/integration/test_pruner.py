"""The pruner deletes what is finished when its time has come, and nothing that a user is promised."""

import asyncio
import os
import time
from datetime import timedelta

import asyncpg
import psycopg
import pytest

from shared.core.retention import Retention
from shared.db.api_keys import ApiKeyStore
from shared.db.pool import connect
from shared.db.pruning import BATCH, PruneStore
from shared.db.unfinished_uploads import UnfinishedUploadStore
from shared.db.uploads import UploadStore
from shared.ids import new_id
from shared.storage.uploads import UploadFiles
from tests.support.gateway import finish_job, insert_job, publish
from worker_service.maintenance.pruner import Pruned, Pruner

HOUR = timedelta(hours=1)
SHORT = Retention(
    partials=HOUR,
    jobs=3 * HOUR,
    unnamed=3 * HOUR,
    superseded=HOUR,
    uploads=3 * HOUR,
    unknown_files=HOUR,
    workers=HOUR,
    keys=3 * HOUR,
)
SHAPE = {"k": "string"}


class World:
    def __init__(self, settings, pool) -> None:
        self.settings, self.pool = settings, pool
        self.uploads = UploadStore(pool)

    def pruner(self) -> Pruner:
        return Pruner(PruneStore(self.pool), UploadFiles(self.settings.storage), SHORT)

    async def prune(self) -> Pruned:
        return await self.pruner().run_once()

    async def sql(self, statement, *arguments):
        async with self.pool.connection() as connection:
            return [tuple(row) for row in await connection.fetch(statement, *arguments)]

    async def count(self, table) -> int:
        [(count,)] = await self.sql(f"SELECT count(*) FROM gristmill.{table}")
        return count

    async def ended(self, state, hours, *, name=None, partials=True, uploads=()) -> str:
        """A job that ended so many hours ago, with a partial."""
        job_id = await insert_job(self.settings, name=name, uploads=uploads)
        if partials:
            await self.sql("INSERT INTO gristmill.partials VALUES ($1, 0, 0, 0, 9, 1, 'x')", job_id)
        if state != "queued":
            await finish_job(self.settings, job_id, state=state)
            await self.aged(job_id, hours)
        return job_id

    async def aged(self, job_id, hours) -> None:
        await self.sql(
            "UPDATE gristmill.jobs SET finished_at = now() - $2::interval WHERE id = $1",
            job_id,
            timedelta(hours=hours),
        )
        await self.sql(
            "UPDATE gristmill.versions SET published_at = now() - $2::interval WHERE job_id = $1",
            job_id,
            timedelta(hours=hours),
        )

    async def keeps(self, job_id, versions) -> None:
        await self.sql("UPDATE gristmill.jobs SET kept_versions = $2 WHERE id = $1", job_id, versions)

    async def uploaded(self, hours, used=None) -> str:
        """An upload of so many hours ago, last *used* so many hours ago, with its file."""
        upload_id = new_id("upl")
        self.file(upload_id, hours)
        await self.uploads.insert("default", upload_id, filename=None, size=1, sha256="0")
        await self.sql(
            "UPDATE gristmill.uploads SET created_at = now() - $2::interval, used_at = now() - $3::interval"
            " WHERE id = $1",
            upload_id,
            timedelta(hours=hours),
            None if used is None else timedelta(hours=used),
        )
        return upload_id

    def file(self, name, hours) -> None:
        folder = self.settings.storage / "uploads" / "default"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - hours * 3600,) * 2)

    def files(self) -> set[str]:
        return {path.name for path in self.settings.storage.glob("uploads/default/*")}


@pytest.fixture
async def world(settings):
    pool = connect(settings.database_url, name="test")
    yield World(settings, pool)
    await pool.close()


async def test_partials_go_at_once_after_success_and_later_after_a_failure_that_can_be_retried(world):
    await world.ended("succeeded", 0)
    late = [await world.ended(state, 2) for state in ("failed", "cancelled")]
    kept = [
        await world.ended("failed", 0.5),
        await world.ended("cancelled", 0.5),
        await world.ended("queued", 0),
    ]
    assert await world.prune() == Pruned(partials=3)
    assert not await world.prune(), "nothing is left to report"

    assert {job for (job,) in await world.sql("SELECT job_id FROM gristmill.partials")} == set(kept)
    assert {job for (job,) in await world.sql("SELECT id FROM gristmill.jobs")} >= set(late)


async def test_a_job_that_is_being_retried_keeps_its_partials(world):
    job_id = await world.ended("failed", 2)
    async with world.pool.transaction() as tx:
        await tx.execute("SELECT FROM gristmill.jobs WHERE id = $1 FOR NO KEY UPDATE", job_id)
        await world.prune()
        await tx.execute(
            "UPDATE gristmill.jobs SET state = 'running', finished_at = NULL WHERE id = $1", job_id
        )
    await world.prune()

    assert await world.count("partials") == 1


async def test_a_finished_job_is_kept_for_its_time_and_as_long_as_it_has_rows(world):
    for state in ("failed", "cancelled"):
        await world.ended(state, 4)
    kept = {await world.ended("failed", 2), await world.ended("queued", 0)}
    named = await publish(world.settings, SHAPE, [("a",)], name="sales")
    await world.aged(named, 9)
    unnamed = await publish(world.settings, SHAPE, [("a",)])
    await world.aged(unnamed, 2)
    await world.prune()
    assert {job for (job,) in await world.sql("SELECT id FROM gristmill.jobs")} == kept | {named, unnamed}

    await world.aged(unnamed, 4)
    await world.prune()
    assert {job for (job,) in await world.sql("SELECT id FROM gristmill.jobs")} == kept | {named}
    assert await world.sql(
        "SELECT relname::text FROM pg_class WHERE relname = ANY($1)", [named, unnamed]
    ) == [(named,)]
    assert await world.sql("SELECT k FROM results.sales") == [("a",)]


async def test_a_superseded_version_goes_with_its_table_and_its_job_follows(world):
    jobs = [await publish(world.settings, SHAPE, [(str(i),)], name="sales") for i in range(3)]
    for hours, job_id in zip((9, 8, 7), jobs, strict=True):
        await world.keeps(job_id, 2)
        await world.aged(job_id, hours)
    await world.prune()

    assert {job for (job,) in await world.sql("SELECT job_id FROM gristmill.versions")} == set(jobs[1:])
    assert {job for (job,) in await world.sql("SELECT id FROM gristmill.jobs")} == set(jobs[1:])
    assert await world.sql("SELECT relname::text FROM pg_class WHERE relname = $1", jobs[0]) == []


async def test_a_version_that_is_published_after_a_newer_one_is_kept_for_its_time_too(world):
    """The slow one of two jobs; its rows were promised when it ended, not when the other one did."""
    slow, newer = [await publish(world.settings, SHAPE, [(str(i),)], name="sales") for i in range(2)]
    for hours, job_id in ((0.5, slow), (9, newer)):
        await world.keeps(job_id, 1)
        await world.aged(job_id, hours)
    await world.prune()
    assert {job for (job,) in await world.sql("SELECT job_id FROM gristmill.versions")} == {slow, newer}

    await world.aged(slow, 2)
    await world.prune()
    assert {job for (job,) in await world.sql("SELECT job_id FROM gristmill.versions")} == {newer}


async def test_any_number_of_tables_in_use_hold_up_no_other(world):
    """More than a batch of them, and all of them older than the one that is free."""
    pinned = [await publish(world.settings, SHAPE, []) for _ in range(BATCH)]
    free = await publish(world.settings, SHAPE, [])
    for job_id in (*pinned, free):
        await world.aged(job_id, 9 if job_id == free else 10)
        if job_id != free:
            await world.sql(f"CREATE VIEW results.of_{job_id} AS SELECT * FROM gristmill_results.{job_id}")
    await world.prune()

    assert {job for (job,) in await world.sql("SELECT job_id FROM gristmill.versions")} == set(pinned)


@pytest.mark.parametrize(
    "hold",
    [
        "SELECT FROM gristmill_results.{}",
        "CREATE VIEW results.mine AS SELECT * FROM gristmill_results.{}; COMMIT",
    ],
)
async def test_a_table_in_use_waits_and_holds_up_nothing_else(world, hold):
    first, second = [await publish(world.settings, SHAPE, [("a",)]) for _ in range(2)]
    for job_id in (first, second):
        await world.aged(job_id, 9)
    await world.ended("failed", 9)
    reader = await asyncpg.connect(world.settings.database_url)
    await reader.execute("BEGIN; " + hold.format(first))
    await world.prune()
    assert {job for (job,) in await world.sql("SELECT id FROM gristmill.jobs")} == {first}

    await reader.execute("ROLLBACK; DROP VIEW IF EXISTS results.mine")
    await reader.close()
    await world.prune()
    assert await world.count("versions") == await world.count("jobs") == 0


async def test_an_upload_goes_when_it_is_unused_for_its_time_and_no_job_needs_it(world):
    gone = [
        await world.uploaded(4),
        await world.uploaded(9, used=4),
        await world.uploaded(9, used=4),
        await world.uploaded(9, used=4),
    ]
    kept = [
        await world.uploaded(2),
        await world.uploaded(9, used=2),
        await world.uploaded(9, used=8),
        await world.uploaded(9, used=8),
    ]
    await world.ended("succeeded", 0, uploads=[gone[1]])
    await world.ended("failed", 2, uploads=[gone[2]])
    await world.ended("queued", 0, uploads=["upl_of_another", kept[2]])
    await world.ended("failed", 0.5, uploads=[kept[3]])
    await world.prune()

    assert {upload for (upload,) in await world.sql("SELECT id FROM gristmill.uploads")} == set(kept)
    assert world.files() == set(kept)


async def test_a_gateway_of_before_names_no_uploads_so_its_jobs_may_need_any_of_their_tenant(world):
    job_id = await world.ended("queued", 0)
    await world.sql("UPDATE gristmill.jobs SET uploads = NULL WHERE id = $1", job_id)
    upload_id = await world.uploaded(9)
    await world.prune()
    assert world.files() == {upload_id}

    await finish_job(world.settings, job_id)
    await world.prune()
    assert world.files() == set()


async def test_a_result_whose_newest_job_a_gateway_of_before_has_submitted_keeps_every_version(world):
    jobs = [await publish(world.settings, SHAPE, [(str(i),)], name="sales") for i in range(3)]
    for hours, job_id in zip((9, 8, 7), jobs, strict=True):
        await world.aged(job_id, hours)
        await world.keeps(job_id, None if job_id == jobs[-1] else 1)
    await world.prune()
    assert await world.count("versions") == 3

    await world.keeps(jobs[-1], 1)
    await world.prune()
    assert await world.count("versions") == 1


async def test_naming_an_upload_in_a_job_keeps_it(world):
    upload_id = await world.uploaded(9)
    assert await world.uploads.use("default", [upload_id, "upl_nothing"]) == {upload_id}
    await world.prune()

    assert world.files() == {upload_id}


async def test_a_file_that_no_upload_knows_goes_after_its_time(world):
    known = await world.uploaded(2)
    for name, hours in [
        ("upl_stray", 2),
        ("upl_fresh", 0),
        (".upl_broken.part", 2),
        (".upl_growing.part", 0),
        ("not ours", 9),
    ]:
        world.file(name, hours)
    await world.prune()

    assert world.files() == {known, "upl_fresh", ".upl_growing.part", "not ours"}


async def test_an_unfinished_upload_goes_when_it_expires_and_its_file_is_no_stray_until_then(world):
    store = UnfinishedUploadStore(world.pool, HOUR)
    for name in ("upl_kept", "upl_expired"):
        world.file(name, 9)
        await store.insert("default", name, filename=None, metadata=None, size=9, most=9)
    expire = "UPDATE gristmill.unfinished_uploads SET expires_at = now() WHERE id = $1"
    await world.sql(expire, "upl_expired")
    assert await world.prune() == Pruned(unfinished_uploads=1)

    assert await world.sql("SELECT id FROM gristmill.unfinished_uploads") == [("upl_kept",)]
    assert world.files() == {"upl_kept"}


async def test_files_that_vanish_while_the_pruner_looks_keep_it_from_nothing(world):
    """A broken link is like a file that another pruner deletes between the listing and the look at it."""
    world.file("upl_stray", 2)
    folder = world.settings.storage / "uploads" / "default"
    for name in ("upl_gone", ".upl_gone.part"):
        (folder / name).symlink_to("nowhere")
    await world.prune()

    assert world.files() == {"upl_gone", ".upl_gone.part"}


async def test_a_silent_worker_is_forgotten_unless_a_lease_still_names_it(world):
    for worker in ("silent", "holding", "alive"):
        await world.sql(
            "INSERT INTO gristmill.workers (id, host, pid, version, slots) VALUES ($1, 'h', 1, '0', 1)",
            worker,
        )
    await world.sql("UPDATE gristmill.workers SET seen_at = now() - interval '2 hours' WHERE id <> 'alive'")
    await insert_job(world.settings)
    await world.sql("UPDATE gristmill.units SET state = 'leased', worker = 'holding', deadline_at = now()")
    await world.prune()

    assert {worker for (worker,) in await world.sql("SELECT id FROM gristmill.workers")} == {
        "holding",
        "alive",
    }


async def test_several_pruners_at_once_delete_everything_once(world):
    """There is more than a batch of rows, so that the pruners meet.

    Every row goes, and no pruner fails or waits for another for long.
    """
    await world.sql(
        "INSERT INTO gristmill.jobs (id, spec, spec_digest, state, finished_at)"
        " SELECT 'job_' || no, '{}', '', 'failed', now() - interval '9 hours'"
        " FROM generate_series(1, 120) AS no"
    )
    await world.sql("INSERT INTO gristmill.partials SELECT id, 0, 0, 0, 9, 1, 'x' FROM gristmill.jobs")
    published = [await publish(world.settings, SHAPE, [("a",)]) for _ in range(5)]
    for job_id in published:
        await world.aged(job_id, 9)
    uploads = [await world.uploaded(9) for _ in range(60)]
    await asyncio.gather(*(world.pruner().run_once() for _ in range(4)))
    await world.prune()

    assert [await world.count(table) for table in ("jobs", "units", "partials", "versions", "uploads")] == [
        0
    ] * 5
    assert len(uploads) == 60
    assert world.files() == set()


async def test_a_batch_skips_what_another_pruner_has_locked(world):
    first = await world.ended("failed", 9, partials=False)
    await world.ended("failed", 9, partials=False)
    with psycopg.connect(world.settings.database_url) as other:
        other.execute("SELECT FROM gristmill.jobs WHERE id = %s FOR UPDATE", [first])
        assert await PruneStore(world.pool).jobs(HOUR) == 1
    assert await PruneStore(world.pool).jobs(HOUR) == 1


async def test_keys_that_ended_long_ago_go_but_the_first_of_all_keeps_the_gateway_closed(world):
    store = ApiKeyStore(world.pool)
    ids = [
        (await store.insert("default", name, name.encode() * 32, scopes=["read"], lasts=HOUR)).id
        for name in "abcd"
    ]
    lasting = (await store.insert("default", "e", b"e" * 32, scopes=["admin"])).id
    for key_id, hours in zip(ids, (9, 9, 4, 2), strict=True):
        await world.sql(
            "UPDATE gristmill.api_keys SET expires_at = now() - make_interval(hours => $2) WHERE id = $1",
            key_id,
            hours,
        )

    assert await world.prune() == Pruned(keys=2)
    assert {key.id for key in await store.all()} == {ids[0], ids[3], lasting}
    assert await world.prune() == Pruned()
    await world.sql("DELETE FROM gristmill.api_keys WHERE id <> $1", ids[0])
    assert await world.prune() == Pruned()
    assert await store.any()
