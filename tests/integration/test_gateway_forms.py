"""An HTML form uploads its one file."""

import hashlib
import io

import aiohttp
import pytest

from api_service.handlers import forms
from tests.integration.test_gateway_uploads import DATA, digest_header, files_below, rows_of_uploads
from tests.support.gateway import gateway, problem_of

BOUNDARY = "--part"


def a_part(data: bytes, *, name: str = "file", filename: str | None = "a.csv", headers: str = "") -> bytes:
    given = "" if filename is None else f'; filename="{filename}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{given}\r\n{headers}\r\n'
    return head.encode() + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


async def sent(http, body: bytes, query: str = "", **headers: str):
    async with http.post(f"/v1/uploads{query}", data=io.BytesIO(body), headers=FORM | headers) as response:
        return response.status, await response.json()


async def refused(settings, body: bytes, **headers: str) -> tuple[int, str, str]:
    """Status, code and detail of the refusal of a form; nothing of it is left."""
    async with (
        gateway(settings) as http,
        http.post("/v1/uploads", data=io.BytesIO(body), headers=FORM | headers) as response,
    ):
        problem = await problem_of(response)
    assert files_below(settings.storage) == []
    assert await rows_of_uploads(settings) == 0
    return response.status, problem["code"], problem["detail"]


async def test_a_client_s_form_is_stored_byte_by_byte_whatever_its_blocks(settings):
    tricky = DATA + b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n\r\n--"
    for data in (tricky, b"", b"\r\n", b"x" * (forms.READ_BYTES - 1) + b"\r\n--"):
        async with gateway(settings) as http:
            form = aiohttp.FormData({"token": "secret"}, quote_fields=False)  # as browsers do
            form.add_field("file", io.BytesIO(data), filename="données.csv", content_type="text/csv")
            async with http.post("/v1/uploads", data=form) as response:
                made = await response.json()
                assert response.status == 201, made
                assert response.headers["Location"] == f"/v1/uploads/{made['id']}"
        assert (made["bytes"], made["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert made["filename"] == "données.csv"
        assert (settings.storage / "uploads" / "default" / made["id"]).read_bytes() == data


async def test_a_browser_s_form_names_the_file(settings):
    async with gateway(settings) as http:
        for sent_name, known in (
            ("a.csv", "a.csv"),
            ("../../etc/passwd", "passwd"),
            ("a\tb.csv", "ab.csv"),
            ("ü" * 300, "ü" * 255),
            ("..", None),
        ):
            status, made = await sent(http, a_part(b"x", filename=sent_name) + END)
            assert (status, made["filename"]) == (201, known)
        status, made = await sent(http, a_part(b"x", filename="a.csv") + END, "?filename=b.csv")
        assert (status, made["filename"]) == (201, "b.csv")
        status, made = await sent(http, a_part(b"x", filename="") + END)
        assert (status, made["filename"]) == (201, None)
        unchosen = a_part(b"", name="other", filename="")
        status, made = await sent(
            http, unchosen + a_part(b"x") + unchosen + a_part(b"1", filename=None) + END
        )
        assert (status, made["filename"], made["bytes"]) == (201, "a.csv", 1)


async def test_a_digest_among_the_headers_of_the_part_is_checked(settings):
    (name, value), *_ = digest_header(b"x").items()
    async with gateway(settings) as http:
        status, _ = await sent(http, a_part(b"x", headers=f"{name}: {value}\r\n") + END)
        assert status == 201
        status, problem = await sent(http, a_part(b"y", headers=f"{name}: {value}\r\n") + END)
        assert (status, problem["code"]) == (400, "digest_mismatch")
    assert len(files_below(settings.storage)) == 1


async def test_two_files_are_refused_by_name(settings):
    status, code, detail = await refused(settings, a_part(DATA) + a_part(b"2", filename="b.csv") + END)

    assert (status, code) == (400, "bad_request")
    assert "two files, 'a.csv' and 'b.csv'" in detail


@pytest.mark.parametrize(
    "body",
    [
        END,
        a_part(b"1", filename=None) + END,
        a_part(b"", filename="") + END,
    ],
)
async def test_a_form_without_a_file_is_refused(settings, body):
    status, code, detail = await refused(settings, body)

    assert (status, code) == (400, "bad_request")
    assert "-F file=@" in detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        b"x" * 100_000,
        a_part(DATA)[:1_000_000],
        a_part(DATA),
        a_part(b"x")[:-2],
        a_part(b"x")[:30],
        a_part(b"x") + b"junk" + END,
        a_part(b"utf-8", name="_charset_", filename=None) + a_part(b"x") + END,
        a_part(b"\xff" * 40, name="_charset_", filename=None) + a_part(b"x") + END,
        a_part(b"x", headers="Content-Type: multipart/mixed; boundary=y\r\n") + END,
        a_part(b"x", headers="X: " + "x" * 10_000 + "\r\n") + END,
        a_part(b"x", headers="X: x\r\n" * 40) + END,
        a_part(b"x", headers="Content-Digest: sha-256=abc\r\n") + END,
    ],
    ids=range(14),
)
async def test_a_form_that_cannot_be_read_to_its_end_leaves_nothing(settings, body):
    status, code, _ = await refused(settings, body)

    assert (status, code) == (400, "bad_request")


async def test_a_digest_of_the_whole_form_is_not_taken_for_the_file_s(settings):
    status, code, detail = await refused(settings, a_part(b"x") + END, **digest_header(b"x"))

    assert (status, code) == (400, "bad_request")
    assert "part" in detail


@pytest.mark.parametrize("header", ["Content-Encoding: gzip", "Content-Transfer-Encoding: base64"])
async def test_an_encoded_part_is_refused(settings, header):
    status, code, _ = await refused(settings, a_part(b"eA==", headers=header + "\r\n") + END)

    assert (status, code) == (415, "unsupported_media_type")


async def test_the_bound_is_that_of_the_file(settings):
    small = settings.model_copy(update={"max_upload_bytes": 1000})
    fields = a_part(b"f" * (forms.FIELD_BYTES - 2000), filename=None)
    async with gateway(small) as http:
        status, _ = await sent(http, fields + a_part(b"x" * 1000) + END)
        assert status == 201
        status, problem = await sent(http, a_part(b"x" * 1001) + END)
        assert (status, problem["code"]) == (413, "payload_too_large")
    assert len(files_below(settings.storage)) == 1


async def test_text_fields_have_a_bound(settings):
    status, code, detail = await refused(settings, a_part(b"f" * 70_000, filename=None) + a_part(b"x") + END)

    assert (status, code) == (413, "payload_too_large")
    assert "leave them out" in detail
