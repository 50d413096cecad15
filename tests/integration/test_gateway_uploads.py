"""Uploads over HTTP: bytes arrive whole or leave nothing behind."""

import asyncio
import base64
import hashlib
import io
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.gateway import database, gateway, problem_of

DATA = bytes(range(256)) * 20_000


def digest_header(data: bytes) -> dict[str, str]:
    return {"Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"}


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def rows_of_uploads(settings) -> int:
    async with database(settings) as connection:
        return await connection.fetchval("SELECT count(*) FROM gristmill.uploads")


async def in_blocks(data: bytes):
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


async def test_an_upload_is_stored_byte_by_byte_and_read_back_by_its_location(settings):
    async with gateway(settings) as http:
        async with http.post(
            "/v1/uploads?filename=a.csv", data=in_blocks(DATA), headers=digest_header(DATA)
        ) as response:
            made = await response.json()
            assert response.status == 201
        async with http.get(response.headers["Location"]) as again:
            assert await again.json() == made

    assert made["uri"] == f"upload:{made['id']}"
    assert (made["bytes"], made["sha256"], made["filename"]) == (
        len(DATA),
        hashlib.sha256(DATA).hexdigest(),
        "a.csv",
    )
    assert files_below(settings.storage) == [settings.storage / "uploads" / "default" / made["id"]]
    assert files_below(settings.storage)[0].read_bytes() == DATA


async def test_an_upload_whose_digest_differs_leaves_nothing(settings):
    async with (
        gateway(settings) as http,
        http.post("/v1/uploads", data=io.BytesIO(DATA), headers=digest_header(DATA + b"x")) as response,
    ):
        assert (response.status, (await problem_of(response))["code"]) == (400, "digest_mismatch")

    assert files_below(settings.storage) == []
    assert await rows_of_uploads(settings) == 0


@pytest.mark.parametrize(
    "value", ["sha-256=abc", "sha-256=:abc:", "sha-256=", "sha-256=:" + base64.b64encode(b"x").decode() + ":"]
)
async def test_a_content_digest_that_cannot_be_read_is_a_bad_request(settings, value):
    async with (
        gateway(settings) as http,
        http.post("/v1/uploads", data=b"x", headers={"Content-Digest": value}) as response,
    ):
        assert (response.status, (await problem_of(response))["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "identity"},
        {"Content-Type": "multipart/mixed; boundary=x"},
    ],
)
async def test_an_encoded_or_multipart_body_is_refused(settings, headers):
    async with (
        gateway(settings) as http,
        http.post("/v1/uploads", data=b"x", headers=headers, skip_auto_headers=[]) as response,
    ):
        assert (response.status, (await problem_of(response))["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused_and_leaves_nothing(settings, chunked):
    small = settings.model_copy(update={"max_upload_bytes": len(DATA) - 1})
    async with gateway(small) as http:
        data = in_blocks(DATA) if chunked else io.BytesIO(DATA)
        async with http.post("/v1/uploads", data=data) as response:
            assert (response.status, (await problem_of(response))["code"]) == (413, "payload_too_large")
        async with http.post("/v1/uploads", data=io.BytesIO(DATA[:-1])) as fits:
            assert fits.status == 201

    assert len(files_below(settings.storage)) == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 5000000", b"Transfer-Encoding: chunked"])
async def test_a_body_cut_in_the_middle_leaves_no_file_and_no_row(settings, framing):
    async with gateway(settings) as http:
        url = urlsplit(str(http._base_url))
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n\r\n")
        writer.write((b"" if b"Length" in framing else b"200000\r\n") + DATA[: 2 * 1024**2])
        await writer.drain()
        await until(lambda: files_below(settings.storage))
        writer.transport.abort()
        await until(lambda: not files_below(settings.storage))

    assert await rows_of_uploads(settings) == 0


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_refused_body_is_never_asked_for(settings):
    small = settings.model_copy(update={"max_upload_bytes": 10})
    async with gateway(small) as http:
        url = urlsplit(str(http._base_url))
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(
            b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()
        async with http.post("/v1/uploads", data=b"0123456789", expect100=True) as response:
            assert response.status == 201


async def test_a_deleted_upload_is_gone_from_disk_too(settings):
    async with gateway(settings) as http:
        async with http.post("/v1/uploads", data=b"a,b\n1,2\n") as response:
            location = response.headers["Location"]
        async with http.delete(location) as response:
            assert (response.status, await response.read()) == (204, b"")
        async with http.get(location) as response:
            assert (response.status, (await problem_of(response))["code"]) == (404, "not_found")
        async with http.delete(location) as response:
            assert response.status == 404

    assert files_below(settings.storage) == []


async def test_another_tenants_upload_is_not_found(settings):
    async with database(settings) as connection:
        await connection.execute(
            "INSERT INTO gristmill.uploads (id, tenant, bytes, sha256) VALUES ('upl_x', 'other', 1, '')"
        )
    async with gateway(settings) as http, http.get("/v1/uploads/upl_x") as response:
        assert (response.status, (await problem_of(response))["code"]) == (404, "not_found")


async def test_an_empty_upload_is_a_file_of_no_bytes(settings):
    async with gateway(settings) as http, http.post("/v1/uploads", data=b"") as response:
        assert (response.status, (await response.json())["bytes"]) == (201, 0)


@pytest.mark.parametrize(
    "query", ["filename=", "filename=a%0Ab", "filename=" + "x" * 256, "filename=a&filename=b", "name=a"]
)
async def test_a_bad_upload_parameter_is_named(settings, query):
    async with gateway(settings) as http, http.post("/v1/uploads?" + query, data=b"x") as response:
        problem = await problem_of(response)

    assert (problem["status"], problem["code"]) == (422, "invalid_parameter")
    assert problem["errors"][0]["parameter"] == query.partition("=")[0]


async def test_storage_that_cannot_be_written_is_unavailable(settings):
    settings.storage.write_text("a file where the folder should be")
    async with gateway(settings) as http, http.post("/v1/uploads", data=b"x") as response:
        assert (response.status, (await problem_of(response))["code"]) == (503, "storage_unavailable")
        assert response.headers["Retry-After"]


async def test_parts_that_a_killed_gateway_left_are_removed_once_they_are_old(settings):
    folder = settings.storage / "uploads" / "default"
    folder.mkdir(parents=True)
    old, young = folder / ".upl_a.part", folder / ".upl_b.part"
    for part in (old, young):
        part.write_bytes(b"x")

    os.utime(old, (1, 1))

    async with gateway(settings):
        await until(lambda: not old.exists())

    assert files_below(settings.storage) == [young]
