"""Request headers that carry a meaning."""

import base64
import hashlib

import pytest

from api_service.wire.headers import (
    PAGE_OR_LINES,
    accepted_coding,
    etag_matches,
    idempotency_key,
    negotiated,
    preferred_wait,
    promised_sha256,
)
from shared.errors import BadRequest, NotAcceptable


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ([], None),
        (["wait=5"], 5),
        (["respond-async, Wait = 7"], 7),
        (["respond-async", 'wait="8"'], 8),
        (["wait=61"], 60),
        (["wait=0"], 0),
        (["wait=-1"], None),
        (["wait=soon"], None),
        (["wait=٣"], None),
        (["return=minimal"], None),
    ],
)
def test_prefer_wait_is_capped_and_what_cannot_be_read_is_ignored(prefer, seconds):
    assert preferred_wait(prefer) == seconds


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "a\n"])
def test_an_idempotency_key_is_short_and_visible(key):
    with pytest.raises(BadRequest):
        idempotency_key(key)


def test_the_sha256_is_found_among_other_digests():
    digest = hashlib.sha256(b"x")
    header = f"md5=:AAAA:, sha-256=:{base64.b64encode(digest.digest()).decode()}:"

    assert promised_sha256([header]) == digest.hexdigest()
    assert promised_sha256(["md5=:AAAA:"]) is None
    assert promised_sha256([]) is None


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ([], "json"),
        (["*/*"], "json"),
        (["text/csv"], "csv"),
        (["text/*"], "csv"),
        (["application/json;q=0.5, text/csv"], "csv"),
        (["application/json;q=0.5", "text/csv;q=0.4"], "json"),
        (["text/html,application/xhtml+xml,*/*;q=0.8"], "json"),
        (["text/csv;q=0, */*;q=0.1"], "json"),
        (["text/csv; charset=utf-8; q=0.9"], "csv"),
    ],
)
def test_the_best_liked_type_is_sent(accept, chosen):
    assert negotiated(accept, PAGE_OR_LINES) == chosen


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "text/csv;q=x"])
def test_types_that_rows_have_not_are_refused(accept):
    with pytest.raises(NotAcceptable):
        negotiated([accept], PAGE_OR_LINES)


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        (['W/"1"'], True),
        (['"1"'], True),
        (['"0", W/"1"'], True),
        (["*"], True),
        (['"2"'], False),
        ([], False),
    ],
)
def test_tags_are_compared_weakly(sent, known):
    assert etag_matches(sent, 'W/"1"') is known


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ([], None),
        (["identity"], None),
        (["*"], None),
        (["br, deflate"], None),
        (["gzip"], "gzip"),
        (["gzip, deflate, br, zstd"], "zstd"),
        (["gzip", "zstd"], "zstd"),
        (["gzip;q=0.8, zstd;q=0.5"], "gzip"),
        (["zstd;q=0, gzip;q=0.1"], "gzip"),
        (["zstd;q=0, gzip;q=0"], None),
        (["identity;q=1, gzip;q=0.5"], None),
        (["identity;q=0.5, GZIP;q=0.5"], "gzip"),
        (["gzip;q=x"], None),
    ],
)
def test_the_best_liked_coding_is_used(accept, chosen):
    assert accepted_coding(accept) == chosen
