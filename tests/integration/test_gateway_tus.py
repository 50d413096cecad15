"""Resumable uploads by the tus protocol: offsets that hold, and an ordinary upload at the end."""

import asyncio
import base64
import hashlib
import io
import os
from urllib.parse import urljoin, urlsplit

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed

from api_service.services import resumable
from tests.integration.test_gateway_uploads import files_below, rows_of_uploads, until
from tests.support.gateway import database, gateway, problem_of, spec_for

DATA = os.urandom(3 * 1024**2 + 7)
TUS = {"Tus-Resumable": "1.0.0"}


def metadata(name: str) -> str:
    return f"filename {base64.b64encode(name.encode()).decode()},is_confidential"


async def begun(http, size: int = len(DATA), **headers: str) -> str:
    """The URL of a new upload."""
    async with http.post("/v1/tus", headers=TUS | {"Upload-Length": str(size)} | headers) as response:
        assert response.status == 201, await response.text()
        return response.headers["Location"]


async def patched(http, url: str, offset: int, data, **headers: str):
    """Status, headers and the problem's code, of a PATCH."""
    given = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    body = io.BytesIO(data) if isinstance(data, bytes) else data  # aiohttp warns of many bytes
    async with http.patch(url, data=body, headers=TUS | given | headers) as response:
        code = None if response.status < 400 else (await problem_of(response))["code"]
        return response.status, response.headers, code


async def offset_of(http, url: str) -> int:
    async with http.head(url, headers=TUS) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        return int(response.headers["Upload-Offset"])


async def stored(http, url: str) -> dict:
    async with http.get(url.replace("/tus/", "/uploads/")) as response:
        assert response.status == 200
        return await response.json()


async def half_a_patch(http, url: str, offset: int, body: bytes):
    """A connection on which a PATCH has begun and does not end."""
    parts = urlsplit(str(http._base_url))
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(
        f"PATCH {url} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
        "Content-Type: application/offset+octet-stream\r\n"
        f"Content-Length: {len(DATA) - offset}\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    return reader, writer


async def test_the_real_client_uploads_in_pieces_and_the_url_names_the_upload(settings):
    async with gateway(settings) as http:
        client = TusClient(f"{http._base_url}/v1/tus")
        uploader = client.async_uploader(
            file_stream=io.BytesIO(DATA),
            chunk_size=1_000_000,
            metadata={"filename": "a.csv"},
            upload_checksum=True,
        )
        await uploader.upload()
        made = await stored(http, urlsplit(uploader.url).path)
        async with http.post("/v1/jobs", json=spec_for(settings, source={"uris": [made["uri"]]})) as job:
            assert job.status == 202
        async with http.head(uploader.url, headers=TUS) as response:
            assert response.headers["Upload-Offset"] == response.headers["Upload-Length"] == str(len(DATA))
            assert response.headers["Upload-Metadata"] == metadata("a.csv").split(",")[0]

    assert made["uri"] == "upload:" + uploader.url.rpartition("/")[2]
    assert (made["bytes"], made["sha256"], made["filename"]) == (
        len(DATA),
        hashlib.sha256(DATA).hexdigest(),
        "a.csv",
    )
    assert "offset" not in made
    assert files_below(settings.storage / "uploads")[0].read_bytes() == DATA


async def test_the_gateway_tells_what_it_can(settings):
    async with gateway(settings) as http, http.options("/v1/tus") as response:
        assert response.status == 204
        assert response.headers["Tus-Version"] == "1.0.0"
        assert response.headers["Tus-Extension"] == (
            "creation,creation-with-upload,termination,expiration,checksum"
        )
        assert response.headers["Tus-Max-Size"] == str(settings.max_upload_bytes)
        assert "sha1" in response.headers["Tus-Checksum-Algorithm"].split(",")


async def test_a_patch_that_is_cut_keeps_what_has_arrived_and_the_client_resumes(settings):
    async with gateway(settings) as http:
        url = await begun(http, **{"Upload-Metadata": metadata("a.csv")})
        _, writer = await half_a_patch(http, url, 0, DATA[:2_000_000])
        await until(lambda: files_below(settings.storage)[0].stat().st_size > 1_000_000)
        writer.transport.abort()
        while (offset := await offset_of(http, url)) == 0:
            await asyncio.sleep(0)
        assert 0 < offset <= 2_000_000
        listed = await stored(http, url)
        assert (listed["sha256"], listed["offset"], listed["bytes"]) == (None, offset, len(DATA))

        await asyncio.to_thread(resumed, f"{http._base_url}/v1/tus", url, offset)
        made = await stored(http, url)

    assert made["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert files_below(settings.storage / "uploads")[0].read_bytes() == DATA


def resumed(endpoint: str, url: str, offset: int) -> None:
    """The real client goes on."""
    uploader = TusClient(endpoint).uploader(file_stream=io.BytesIO(DATA), url=urljoin(endpoint, url))
    assert uploader.offset == offset
    uploader.upload()


async def test_bytes_behind_the_offset_do_not_count_and_are_written_again(settings):
    """As after a crash between the writing of bytes and the noting of their number."""
    async with gateway(settings) as http:
        url = await begun(http)
        await patched(http, url, 0, DATA[:1000])
        with files_below(settings.storage)[0].open("ab") as file:
            file.write(b"other bytes" * 1_000_000)
        assert await offset_of(http, url) == 1000
        assert (await patched(http, url, 1000, DATA[1000:2000]))[0] == 204
        assert files_below(settings.storage)[0].read_bytes() == DATA[:2000]
        assert (await patched(http, url, 2000, DATA[2000:]))[0] == 204
        made = await stored(http, url)

    assert made["sha256"] == hashlib.sha256(DATA).hexdigest()


async def test_two_gateways_add_to_one_upload(settings):
    """Neither of them has seen all bytes, and yet the digest is that of the file."""
    async with gateway(settings) as one, gateway(settings) as two:
        url = await begun(one)
        for no, start in enumerate(range(0, len(DATA), 500_000)):
            status, _, _ = await patched((one, two)[no % 2], url, start, DATA[start : start + 500_000])
            assert status == 204
        assert await stored(one, url) == (made := await stored(two, url))

    assert made["sha256"] == hashlib.sha256(DATA).hexdigest()


async def test_a_patch_beside_another_of_the_same_gateway_makes_that_one_give_way(settings):
    async with gateway(settings) as http:
        url = await begun(http)
        reader, writer = await half_a_patch(http, url, 0, DATA[:100_000])
        while (answer := await patched(http, url, (await offset_of(http, url)), b""))[0] != 204 or (
            answer[1]["Upload-Offset"] == "0"
        ):
            await asyncio.sleep(0)
        assert (await reader.readline()).startswith(b"HTTP/1.1 423 ")
        writer.close()
        offset = await offset_of(http, url)
        assert files_below(settings.storage)[0].read_bytes() == DATA[:offset]


async def test_a_patch_beside_one_of_another_gateway_is_told_to_wait(settings):
    async with gateway(settings) as one, gateway(settings) as two:
        url = await begun(one)
        _, writer = await half_a_patch(one, url, 0, DATA[:2_000_000])
        await until(lambda: files_below(settings.storage)[0].stat().st_size > 1_000_000)
        status, headers, code = await patched(two, url, 0, DATA)
        assert (status, code, headers["Retry-After"]) == (423, "upload_locked", "1")
        writer.transport.abort()
        while (await patched(two, url, await offset_of(two, url), b""))[0] == 423:
            await asyncio.sleep(0)
        offset = await offset_of(two, url)
        assert (await patched(two, url, offset, DATA[offset:]))[0] == 204
        assert (await stored(one, url))["sha256"] == hashlib.sha256(DATA).hexdigest()


async def test_a_wrong_offset_changes_nothing(settings):
    async with gateway(settings) as http:
        url = await begun(http)
        await patched(http, url, 0, DATA[:1000])
        for offset in (0, 999, 1001, len(DATA)):
            assert (await patched(http, url, offset, DATA[:10]))[::2] == (409, "wrong_offset")
        assert await offset_of(http, url) == 1000
        await patched(http, url, 1000, DATA[1000:])
        assert (await patched(http, url, 1000, b"x"))[::2] == (409, "wrong_offset")
        assert (await patched(http, url, len(DATA), b""))[0] == 204
        assert (await patched(http, url, len(DATA), b"x"))[::2] == (413, "payload_too_large")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_bytes_with_another_checksum_are_thrown_away(settings, algorithm):
    def checksum(data: bytes) -> str:
        return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"

    async with gateway(settings) as http:
        url = await begun(http)
        await patched(http, url, 0, DATA[:1000], **{"Upload-Checksum": checksum(DATA[:1000])})
        status, _, code = await patched(
            http, url, 1000, DATA[1001:2000], **{"Upload-Checksum": checksum(DATA[1000:2000])}
        )
        assert (status, code) == (460, "checksum_mismatch")
        assert await offset_of(http, url) == 1000
        for wrong in ("md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha1", "sha1 abc", "sha256 YWJj"):
            assert (await patched(http, url, 1000, b"x", **{"Upload-Checksum": wrong}))[0] == 400
        rest = {"Upload-Checksum": checksum(DATA[1000:])}
        assert (await patched(http, url, 1000, DATA[1000:], **rest))[0] == 204
        assert (await stored(http, url))["sha256"] == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("version", [None, "0.2.2", ""])
async def test_another_version_is_refused_everywhere(settings, version):
    given = {} if version is None else {"Tus-Resumable": version}
    async with gateway(settings) as http:
        url = await begun(http)
        for method, path in (("POST", "/v1/tus"), ("PATCH", url), ("HEAD", url), ("DELETE", url)):
            async with http.request(method, path, headers=given) as response:
                assert (response.status, response.headers["Tus-Version"]) == (412, "1.0.0")
                if method != "HEAD":
                    assert (await problem_of(response))["code"] == "tus_version"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "bad_request"),
        ({"Upload-Defer-Length": "1"}, 400, "bad_request"),
        ({"Upload-Length": "-1"}, 400, "bad_request"),
        ({"Upload-Length": "1_0"}, 400, "bad_request"),
        ({"Upload-Length": "x"}, 400, "bad_request"),
        ({"Upload-Length": "1001"}, 413, "payload_too_large"),
        ({"Upload-Length": "1", "Upload-Metadata": "filename not base64!"}, 400, "bad_request"),
        ({"Upload-Length": "1", "Upload-Metadata": "ü"}, 400, "bad_request"),
    ],
)
async def test_an_upload_that_cannot_be_is_not_begun(settings, headers, status, code):
    small = settings.model_copy(update={"max_upload_bytes": 1000})
    async with gateway(small) as http, http.post("/v1/tus", headers=TUS | headers) as response:
        assert (response.status, (await problem_of(response))["code"]) == (status, code)
        assert response.headers["Tus-Resumable"] == "1.0.0"

    assert files_below(settings.storage) == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_more_bytes_than_were_announced_are_refused(settings, chunked):
    async def blocks():
        yield b"12345"
        yield b"67"

    async with gateway(settings) as http:
        url = await begun(http, 6)
        status, _, code = await patched(http, url, 0, blocks() if chunked else b"1234567")
        assert (status, code) == (413, "payload_too_large")
        assert await offset_of(http, url) <= 5


async def test_a_body_of_another_type_is_refused(settings):
    async with gateway(settings) as http:
        url = await begun(http)
        status, _, code = await patched(http, url, 0, b"x", **{"Content-Type": "text/csv"})
        assert (status, code) == (415, "unsupported_media_type")
        status, _, code = await patched(http, url, 0, b"x", **{"Content-Encoding": "gzip"})
        assert (status, code) == (415, "unsupported_media_type")
        async with http.post("/v1/tus", headers=TUS | {"Upload-Length": "1"}, data=b"x") as response:
            assert response.status == 415


async def test_an_upload_may_be_begun_with_its_first_bytes_or_with_all(settings):
    given = {"Content-Type": "application/offset+octet-stream", "Upload-Length": str(len(DATA))}
    async with gateway(settings) as http:
        for size in (10, len(DATA), 0):
            async with http.post("/v1/tus", headers=TUS | given, data=io.BytesIO(DATA[:size])) as response:
                assert (response.status, response.headers["Upload-Offset"]) == (201, str(size))
            document = await stored(http, response.headers["Location"])
            whole = hashlib.sha256(DATA).hexdigest() if size == len(DATA) else None
            assert (document["sha256"], document.get("offset", size)) == (whole, size)
        async with http.post(
            "/v1/tus", headers=TUS | given | {"Upload-Length": "1"}, data=b"more"
        ) as response:
            assert response.status == 413

    assert len(files_below(settings.storage)) == 3


async def test_an_empty_upload_is_finished_at_once(settings):
    async with gateway(settings) as http:
        url = await begun(http, 0)
        assert (await stored(http, url))["sha256"] == hashlib.sha256(b"").hexdigest()
        assert await offset_of(http, url) == 0


async def test_an_upload_is_deleted_by_either_url_finished_or_not(settings):
    async with gateway(settings) as http:
        for whole in (False, True):
            for family in ("tus", "uploads"):
                url = await begun(http, 10)
                await patched(http, url, 0, DATA[: 10 if whole else 5])
                async with http.delete(url.replace("tus", family), headers=TUS) as response:
                    assert response.status == 204
                async with http.head(url, headers=TUS) as response:
                    assert response.status == 404
                assert (await patched(http, url, 5, b"12345"))[::2] == (404, "not_found")

    assert files_below(settings.storage) == []


async def test_an_upload_that_is_deleted_while_bytes_arrive_is_gone(settings):
    async with gateway(settings) as http:
        url = await begun(http)
        reader, writer = await half_a_patch(http, url, 0, DATA[:2_000_000])
        await until(lambda: files_below(settings.storage)[0].stat().st_size > 1_000_000)
        async with http.delete(url, headers=TUS) as response:
            assert response.status == 204
        writer.write(DATA[2_000_000:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
        writer.close()

    assert files_below(settings.storage) == []
    assert await rows_of_uploads(settings) == 0


async def test_a_client_without_patch_overrides_the_method_of_a_post(settings):
    given = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    async with gateway(settings) as http:
        url = await begun(http, 5)
        for method, status in (("PATCH", 204), ("DELETE", 204), ("PUT", 400)):
            override = {"X-HTTP-Method-Override": method}
            async with http.post(
                url, headers=TUS | given | override, data=b"12345" if method == "PATCH" else None
            ) as response:
                assert response.status == status


async def test_an_upload_expires_a_day_after_its_last_bytes(settings):
    async with gateway(settings) as http:
        url = await begun(http)
        async with http.head(url, headers=TUS) as response:
            assert response.headers["Upload-Expires"].endswith(" GMT")
        await patched(http, url, 0, b"12345")
        async with database(settings) as connection:
            left = "SELECT expires_at - now() > interval '23 hours' FROM gristmill.unfinished_uploads"
            assert await connection.fetchval(left)
            await connection.execute("UPDATE gristmill.unfinished_uploads SET expires_at = now()")
        assert (await patched(http, url, 5, b"x"))[::2] == (410, "upload_expired")
        async with http.head(url, headers=TUS) as response:
            assert response.status == 410
        async with http.get("/v1/uploads") as response:
            assert (await response.json())["items"] == []


async def test_a_tenant_has_a_maximum_of_unfinished_uploads_exactly(settings):
    settings.max_unfinished_uploads = 3
    async with gateway(settings) as http:

        async def begin():
            async with http.post("/v1/tus", headers=TUS | {"Upload-Length": "1"}) as response:
                return response.status, response.headers.get("Location")

        answers = await asyncio.gather(*(begin() for _ in range(8)))
        assert sorted(status for status, _ in answers) == [201] * 3 + [429] * 5
        assert len(files_below(settings.storage)) == 3
        url = next(url for status, url in answers if status == 201)
        assert (await patched(http, url, 0, b"x"))[0] == 204
        assert (await begin())[0] == 201


async def test_another_tenant_s_upload_is_not_found(settings):
    async with gateway(settings) as http:
        url = await begun(http)
        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.unfinished_uploads SET tenant = 'other'")
        async with http.head(url, headers=TUS) as response:
            assert response.status == 404
        async with http.get("/v1/uploads") as response:
            assert (await response.json())["items"] == []


async def test_a_lost_file_is_told_apart_from_an_unknown_upload(settings):
    async with gateway(settings) as http:
        url = await begun(http)
        await patched(http, url, 0, DATA[:1000])
        [file] = files_below(settings.storage)
        os.truncate(file, 999)
        assert (await patched(http, url, 1000, b"x"))[::2] == (503, "storage_unavailable")
        file.unlink()
        assert (await patched(http, url, 1000, b"x"))[::2] == (503, "storage_unavailable")


async def test_head_finishes_an_upload_that_a_crash_left_whole_but_unfinished(settings):
    async with gateway(settings) as http:
        url = await begun(http)
        await patched(http, url, 0, DATA[:-1])
        with files_below(settings.storage)[0].open("ab") as file:
            file.write(DATA[-1:])
        async with database(settings) as connection:
            await connection.execute("UPDATE gristmill.unfinished_uploads SET received = bytes")
        assert await offset_of(http, url) == len(DATA)
        assert (await stored(http, url))["sha256"] == hashlib.sha256(DATA).hexdigest()


async def test_long_bodies_are_noted_while_they_arrive(settings, monkeypatch):
    monkeypatch.setattr(resumable, "CHECKPOINT_BYTES", 1024**2)
    async with gateway(settings) as http:
        url = await begun(http)
        _, writer = await half_a_patch(http, url, 0, DATA[:-1])
        while await offset_of(http, url) < 2 * 1024**2:
            await asyncio.sleep(0)
        writer.close()


async def test_a_job_of_an_unfinished_upload_is_told_how_many_bytes_are_there(settings):
    async with gateway(settings) as http:
        url = await begun(http, 10)
        await patched(http, url, 0, b"123")
        spec = spec_for(settings, source={"uris": [f"upload:{url.rpartition('/')[2]}"]})
        async with http.post("/v1/jobs", json=spec) as response:
            problem = await problem_of(response)

    assert (problem["status"], problem["code"]) == (422, "source_not_found")
    assert problem["errors"][0]["detail"].endswith("is not finished: 3 of its 10 bytes are stored")
    assert problem["detail"] == f"#/source/uris/0: {problem['errors'][0]['detail']}", "no other cause is told"


async def test_uploads_are_listed_newest_first_page_by_page(settings):
    async with gateway(settings) as http:
        made = []
        for no in range(5):
            if no % 2:
                made.append((await begun(http, 10)).rpartition("/")[2])
            else:
                async with http.post(f"/v1/uploads?filename={no}", data=b"x") as response:
                    made.append((await response.json())["id"])
        await patched(http, f"/v1/tus/{made[3]}", 0, b"123")
        found, after = [], ""
        while True:
            async with http.get(f"/v1/uploads?limit=2{after}") as response:
                page = await response.json()
                assert response.status == 200
            found += page["items"]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        async with http.get("/v1/uploads?after=upl_x") as response:
            assert (await problem_of(response))["code"] == "invalid_cursor"

    # ids of one millisecond sort by chance
    assert sorted(item["id"] for item in found) == sorted(made)
    assert [item["id"] for item in found] == sorted(made, reverse=True)
    assert {item["id"]: item.get("offset") for item in found} == dict(
        zip(made, [None, 0, None, 3, None], strict=True)
    )


async def test_the_real_client_says_why_it_was_refused(settings):
    async with gateway(settings) as http:
        uploader = TusClient(f"{http._base_url}/v1/tus").async_uploader(
            file_stream=io.BytesIO(DATA), chunk_size=2
        )
        await uploader.upload_chunk()
        uploader.offset = 0
        with pytest.raises(TusUploadFailed) as failed:
            await uploader.upload_chunk()

    assert failed.value.status_code == 409
