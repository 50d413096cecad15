"""Streams of bytes: handed on as they come, begun anew where they are stored, and told when they break."""

import logging
import re

import httpx2
import pytest

from gristmill import Unreachable
from gristmill.client.asking import RETRIES
from gristmill.client.exports import in_memory, into_file, streamed
from tests.support.steps import answer, played

BROKEN = httpx2.ReadError("reset")


def test_bytes_are_handed_on_as_they_come():
    read = played(streamed("/rows", [("k", "a")], "csv"), answer(), b"k,", b"n\n", None)

    assert read.emitted == [b"k,", b"n\n"]
    assert read.steps[0].request.query == [("k", "a"), ("format", "csv")]


def test_a_stream_that_breaks_off_is_told_with_its_url():
    with pytest.raises(Unreachable, match=r"GET /rows: reset"):
        played(streamed("/rows", [], "csv"), answer(), b"k,", BROKEN)


def test_stored_bytes_begin_anew_after_a_broken_stream():
    read = played(in_memory("/rows", [], "arrow"), answer(), b"ab", BROKEN, answer(), b"abcd", None)

    assert bytes(read.value) == b"abcd"
    assert len(read.pauses) == 1


def test_a_long_pause_before_a_new_stream_is_told(caplog):
    caplog.set_level(logging.WARNING, "gristmill")
    broken = [answer(), b"k", BROKEN] * RETRIES
    read = played(in_memory("/rows", [], "csv"), *broken, answer(), b"k", None)

    assert len(caplog.messages) == sum(seconds >= 1 for seconds in read.pauses) >= 2
    assert re.search(r"^GET /rows: reset. .*Trying again in \d s \(4 of 4\)$", caplog.messages[-1])


def test_a_stream_that_breaks_off_again_and_again_leaves_no_file(tmp_path):
    with pytest.raises(Unreachable):
        played(into_file("/rows", [], tmp_path / "rows.csv", None), *[answer(), b"k", BROKEN] * (RETRIES + 1))

    assert [*tmp_path.iterdir()] == []
