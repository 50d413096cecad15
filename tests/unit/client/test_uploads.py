"""Uploads: the hash covers each byte once, whatever is sent again, and a cut one goes on."""

import hashlib
import logging
import re

import httpx2
import pytest

from gristmill import InvalidRequest, NotFound, SourceChanged, UploadInterrupted
from gristmill.client import uploads
from gristmill.client.asking import RETRIES
from gristmill.client.sources import Content
from gristmill.client.uploads import upload
from tests.support.steps import Played, answer, played

DATA = bytes(range(256)) * 40
DIGEST = hashlib.sha256(DATA).hexdigest()
STORED = answer(201, id="upl_1", sha256=DIGEST, bytes=len(DATA))
BEGUN = answer(201, headers={"Location": "/gristmill/v1/tus/upl_1"})
CUT = httpx2.WriteError("reset")


def content(data: bytes = DATA, piece: int = 100) -> Content:
    def blocks(offset: int):
        return (data[at : at + piece] for at in range(offset, len(data), piece))

    return Content(name="a.csv", size=len(data), blocks=blocks)


def at(offset: int):
    return answer(204, headers={"Upload-Offset": str(offset)})


def sent(step, until: int | None = None) -> int:
    """Send a part of the body of a request, as a client does."""
    count = 0
    for block in step.request.blocks():
        if until is not None and count >= until:
            break
        count += len(block)
    return count


class Service:
    """Takes the bodies of requests before it answers them."""

    def __init__(self, *script):
        self.script = script

    def run(self, steps) -> Played:
        played_steps: list = []
        script = iter(self.script)

        def outcomes():
            while True:
                taken, outcome = next(script)
                step = played_steps[0].steps[-1]
                if taken is not None:
                    sent(step, taken)
                yield outcome

        class Watched(Played):
            def __init__(self, *arguments) -> None:
                played_steps.append(self)
                super().__init__(*arguments)

        return Watched(steps, outcomes(), lambda _: None)


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(uploads, "LARGE_BYTES", 1000)


def test_a_small_file_is_one_request():
    seen = []
    service = Service((len(DATA), STORED))
    found = service.run(upload(content(), seen.append))

    assert found.value["id"] == "upl_1"
    [step] = found.steps
    assert (step.request.method, step.request.path) == ("POST", "/v1/uploads")
    assert step.request.headers["Content-Length"] == str(len(DATA))


def test_one_that_is_sent_again_is_hashed_anew():
    found = Service((5000, CUT), (len(DATA), STORED)).run(upload(content(), lambda _: None))

    assert found.value["sha256"] == DIGEST


def test_other_bytes_than_those_that_were_sent_are_deleted_and_told():
    other = answer(201, id="upl_1", sha256="0" * 64, bytes=3)
    with pytest.raises(
        SourceChanged, match=r"a.csv: 10,240 bytes with the SHA-256 .* were sent, but 3 with 0000"
    ):
        Service((len(DATA), other), (None, answer(204, content=b""))).run(upload(content(), lambda _: None))


def test_a_file_that_shrinks_is_told():
    shrunk = Content(name="a.csv", size=len(DATA), blocks=content(DATA[:1000]).blocks)
    with pytest.raises(SourceChanged, match=r"a.csv had 10,240 bytes, and ends after 1,000"):
        Service((len(DATA), STORED)).run(upload(shrunk, lambda _: None))


def test_a_file_that_grows_is_sent_as_it_was():
    grown = Content(name="a.csv", size=len(DATA), blocks=content(DATA + b"more").blocks)
    found = Service((len(DATA) + 99, STORED)).run(upload(grown, lambda _: None))

    assert found.value["sha256"] == DIGEST


def test_a_large_file_goes_on_where_it_broke_off(large):
    found = Service(
        (None, BEGUN),
        (6000, CUT),
        (None, at(4321)),
        (7000, CUT),
        (None, at(9000)),
        (1240, at(len(DATA))),
        (None, STORED),
    ).run(upload(content(), lambda _: None))

    assert [step.request.method for step in found.steps] == [
        "POST",
        "PATCH",
        "HEAD",
        "PATCH",
        "HEAD",
        "PATCH",
        "GET",
    ]
    offsets = [
        step.request.headers["Upload-Offset"] for step in found.steps if step.request.method == "PATCH"
    ]
    assert offsets == ["0", "4321", "9000"]
    assert found.value["sha256"] == DIGEST


def test_another_process_goes_on_by_its_id():
    found = Service((None, at(4321)), (len(DATA), at(len(DATA))), (None, STORED)).run(
        upload(content(), lambda _: None, "upl_1")
    )

    assert [step.request.method for step in found.steps] == ["HEAD", "PATCH", "GET"]
    assert found.value["sha256"] == DIGEST


def test_one_that_breaks_off_for_good_says_how_to_go_on(large):
    cuts = [(0, CUT), (None, at(4321))] * (RETRIES + 2)
    with pytest.raises(UploadInterrupted) as raised:
        Service((None, BEGUN), *cuts).run(upload(content(), lambda _: None))

    assert (raised.value.upload_id, raised.value.stored, raised.value.size) == ("upl_1", 4321, len(DATA))
    assert "client.upload('a.csv', resume='upl_1')" in str(raised.value)


def test_a_full_disk_is_the_reason_that_is_told(large, caplog):
    caplog.set_level(logging.WARNING, "gristmill")  # a quiet command before it may have set another one
    full = answer(503, code="storage_unavailable", detail="no space left on device")
    tries = [(0, full), (None, at(4321))] * (RETRIES + 2)
    with pytest.raises(UploadInterrupted) as raised:
        Service((None, BEGUN), *tries).run(upload(content(), lambda _: None))

    assert raised.value.reason == "no space left on device"
    assert str(raised.value).startswith("the upload of a.csv broke off (no space left on device): 4,321 of ")
    told = caplog.messages[-1]
    assert re.fullmatch(
        r"503 storage_unavailable: no space left on device\. Trying again in \d s \(4 of 4\)", told
    )


def test_one_that_gets_on_a_little_each_time_is_never_given_up(large):
    script = [(None, BEGUN)]
    for n in range(1, 30):
        script += [(1, CUT), (None, at(100 * n))]
    found = Service(*script, (len(DATA), at(len(DATA))), (None, STORED)).run(
        upload(content(), lambda _: None)
    )

    assert found.value["id"] == "upl_1"


@pytest.mark.parametrize(("status", "kind"), [(404, NotFound), (413, InvalidRequest)])
def test_a_refusal_ends_it(large, status, kind):
    with pytest.raises(kind):
        Service((None, BEGUN), (0, answer(status))).run(upload(content(), lambda _: None))


def test_a_stream_without_a_size_cannot_be_resumed():
    pipe = Content(name="p", size=None, blocks=lambda _: iter([b"a"]), repeatable=False)
    with pytest.raises(TypeError, match="p cannot be resumed"):
        played(upload(pipe, lambda _: None, "upl_1"))


def test_ctrl_c_says_how_to_go_on(large):
    steps = upload(content(), lambda _: None)
    steps.send(None)
    steps.send(BEGUN)
    with pytest.raises(KeyboardInterrupt) as raised:
        steps.throw(KeyboardInterrupt())

    assert "resume='upl_1'" in raised.value.__notes__[0]


def test_what_was_sent_is_shown():
    seen = []
    steps = upload(content(), seen.append)
    request = steps.send(None).request
    for block in request.blocks():
        request.sent(len(block))

    assert (seen[0].fraction, seen[-1].fraction, seen[-1].done) == (100 / len(DATA), 1.0, True)
