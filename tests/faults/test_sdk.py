"""The SDK under faults: a gateway that dies during a wait, uploads that break off, keys that are refused."""

import asyncio
import hashlib
import os
import threading

import pytest

from gristmill import (
    Client,
    Forbidden,
    JobCancelled,
    JobTimeout,
    SourceChanged,
    Unauthorized,
    UploadInterrupted,
)
from gristmill.client import uploads
from tests.support.chaos_proxy import ChaosProxy
from tests.support.clients import KINDS, beside, client_of, got, listed
from tests.support.stack import Stack

COUNTS = {"by": "k", "aggs": {"n": "count"}}
LINES = b"k\na\nb\na\n"
PIECE = 1 << 20


@pytest.fixture
def stack(database_url, redis_url, tmp_path):
    stack = Stack(database_url, redis_url, tmp_path)
    yield stack
    stack.close()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "k.csv"
    path.write_bytes(LINES)
    return path


async def test_a_gateway_that_is_killed_and_restarted_during_a_wait_is_waited_for(stack, path):
    gateway = stack.gateway()
    url = f"http://127.0.0.1:{stack.port}"
    async with client_of("sync", url) as blocking, client_of("async", url) as asynchronous:
        waits = []
        for client in (blocking, asynchronous):
            watched = threading.Event()
            job = await got(client.submit(path, **COUNTS))
            waits.append((job, await beside(job.wait, progress=lambda _, watched=watched: watched.set())))
            assert await asyncio.to_thread(watched.wait, 10)
        gateway.kill()
        stack.gateway()
        stack.worker()
        for job, wait in waits:
            await wait
            assert job.state == "succeeded"


async def test_a_job_without_a_worker_times_out_pauses_and_is_cancelled(stack, path):
    stack.gateway()
    retried = []
    for kind in KINDS:
        async with client_of(kind, f"http://127.0.0.1:{stack.port}") as client:
            job = await got(client.submit(path, **COUNTS))
            with pytest.raises(TimeoutError) as raised:
                await got(job.wait(0.2))
            assert isinstance(raised.value, JobTimeout)
            told = (
                f"{job.id} is queued (0%) after 0.2 s and goes on. Wait on with client.job({job.id!r}).wait()"
            )
            assert told in str(raised.value)

            if kind == "async":
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(job.wait(), 0.2)

            assert (await got(job.pause())).state == "paused"
            assert (await got(job.resume())).state in {"queued", "running"}
            assert [event["name"] for event in await listed(job.events(timeout=0.1))] == ["state"]
            await got((await got(job.cancel())).wait())
            with pytest.raises(JobCancelled, match=f"{job.id} was cancelled"):
                await got(job.result())
            retried.append((await got(job.retry())).id)
    with Client(f"http://127.0.0.1:{stack.port}") as client:
        with pytest.raises(JobTimeout):
            client.aggregate(path, timeout=0.2, progress=False, **COUNTS)
        stack.worker()
        for job_id in retried:
            assert len(client.job(job_id).result(progress=False)) == 2


async def test_an_upload_that_is_cut_again_and_again_goes_on(stack, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "LARGE_BYTES", PIECE)
    data = os.urandom(12 * PIECE)
    path = tmp_path / "large.bin"
    path.write_bytes(data)
    stack.gateway()
    for kind in KINDS:
        with ChaosProxy(f"http://127.0.0.1:{stack.port}") as proxy:
            async with client_of(kind, proxy.url) as client:
                upload = await got(client.upload(path, progress=cutting(proxy)))
            assert proxy.faults >= 3
        assert (upload["bytes"], upload["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def cutting(proxy: ChaosProxy):
    """Cuts the connection when so much of the file was sent."""
    cuts = [0.2, 0.5, 0.9]

    def show(moment) -> None:
        if cuts and moment.fraction > cuts[0]:
            cuts.pop(0)
            proxy.reset()

    return show


@pytest.mark.full
async def test_an_upload_that_breaks_off_for_good_is_finished_by_another_client(stack, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "LARGE_BYTES", PIECE)
    monkeypatch.setattr("gristmill.client.asking.FIRST_PAUSE", 0.001)
    data = os.urandom(12 * PIECE)
    path = tmp_path / "large.bin"
    path.write_bytes(data)
    stack.gateway()
    ids = []
    for _ in range(2):
        with ChaosProxy(f"http://127.0.0.1:{stack.port}") as proxy:

            def show(moment, proxy=proxy) -> None:
                if moment.fraction > 0.8:
                    proxy.refuse()

            async with client_of("sync", proxy.url) as client:
                with pytest.raises(
                    UploadInterrupted, match=r"Go on within a day with client.upload\("
                ) as raised:
                    await asyncio.to_thread(client.upload, path, progress=show)
                ids.append(raised.value.upload_id)
    async with client_of("async", f"http://127.0.0.1:{stack.port}") as client:
        upload = await client.upload(path, resume=ids[0])
        assert (upload["id"], upload["sha256"]) == (ids[0], hashlib.sha256(data).hexdigest())

        path.write_bytes(b"x" + data[1:])
        with pytest.raises(SourceChanged, match=r"large.bin: .* bytes with the SHA-256"):
            await client.upload(path, resume=ids[1])
        assert [each["id"] async for each in client.uploads()] == [ids[0]]


async def test_keys_open_only_what_their_scopes_say(stack, path):
    stack.gateway()
    url = f"http://127.0.0.1:{stack.port}"
    with Client(url) as client:
        first = client.create_key(["admin"], name="first")
    for kind in KINDS:
        async with client_of(kind, url) as client:
            with pytest.raises(Unauthorized, match="401 unauthorized"):
                await listed(client.jobs())
        async with client_of(kind, url, first["key"]) as admin:
            lent = await got(admin.create_key(["upload"], name=kind, expires="15m"))
            async with client_of(kind, url, lent["key"]) as browser:
                upload = await got(browser.upload(path))
                with pytest.raises(Forbidden):
                    await listed(browser.jobs())
            assert kind in [key["name"] for key in await listed(admin.keys())]
            await got(admin.revoke_key(lent["id"]))
            assert (await got(admin.submit(upload, **COUNTS))).state == "queued"
        assert first["key"] not in repr(admin)
