"""The bodies of requests that are no spec: each mistake has its place, the value, and the way out."""

import json

import pytest

from api_service.wire.keys import KeyRequest
from shared.errors import InvalidBody, MalformedJson
from shared.spec.bodies import read_body
from shared.spec.bulk import BulkRequest
from shared.spec.changes import Changes, parse_changes

FAULTS = [
    (KeyRequest, {"scope": ["read"], "scopes": ["read"]}, "#/scope", 'unknown key; did you mean "scopes"?'),
    (
        KeyRequest,
        {"scopes": ["read"], "tenant": "t"},
        "#/tenant",
        "unknown key; there are name, scopes, expires, job",
    ),
    (KeyRequest, {}, "#/scopes", "required, but missing"),
    (KeyRequest, {"scopes": []}, "#/scopes", "at least one element is needed"),
    (
        KeyRequest,
        {"scopes": ["read", "submti"]},
        "#/scopes/1",
        '"submti" is no scope; did you mean "submit"?',
    ),
    (
        KeyRequest,
        {"scopes": ["write"]},
        "#/scopes/0",
        '"write" is no scope; there are read, submit, upload, admin',
    ),
    (KeyRequest, {"scopes": ["read"], "expires": "15 min"}, "#/expires", '"15 min" is no duration: '),
    (KeyRequest, {"scopes": ["read"], "job": "job_1"}, "#/job", '"job_1" is no id of a job'),
    (KeyRequest, {"scopes": ["read"], "name": "a\nb"}, "#/name", "a name has no control characters"),
    (KeyRequest, [], "#", "Input should be an object"),
    (Changes, {"label": {}}, "#/label", 'unknown key; did you mean "labels"?'),
    (Changes, {"priority": 10}, "#/priority", "less than or equal to 9"),
    (Changes, {"labels": {"a b": "1"}}, "#/labels/a b", "a label's key is"),
    (
        BulkRequest,
        {"filter": {"label": {}}, "expected": 1},
        "#/filter/label",
        'unknown key; did you mean "labels"?',
    ),
    (
        BulkRequest,
        {"filter": {"labels": {"a b": "1"}}, "expected": 1},
        "#/filter/labels/a b",
        "a label's key",
    ),
    (BulkRequest, {"filter": {}}, "#/expected", "required, but missing"),
]


@pytest.mark.parametrize(("kind", "body", "place", "detail"), FAULTS)
def test_a_mistake_is_told_with_its_place(kind, body, place, detail):
    with pytest.raises(InvalidBody) as raised:
        read_body(kind, json.dumps(body).encode())
    [fault] = raised.value.errors
    assert fault["pointer"] == place
    assert detail in fault["detail"]
    assert place in raised.value.detail


def test_all_mistakes_are_told_at_once():
    with pytest.raises(InvalidBody) as raised:
        read_body(KeyRequest, b'{"expires": "soon", "scopes": ["rd"], "x": 1}')
    assert {fault["pointer"] for fault in raised.value.errors} == {"#/expires", "#/scopes/0", "#/x"}


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"priority": NaN}', b'{"priority": 1, "priority": 2}', b"\xff"]
)
def test_what_is_no_json_is_malformed_for_every_kind(body):
    for kind in (KeyRequest, Changes, BulkRequest):
        with pytest.raises(MalformedJson):
            read_body(kind, body)


def test_a_change_of_nothing_is_refused():
    with pytest.raises(InvalidBody, match="give priority, labels or deadline"):
        parse_changes(b"{}")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"filter": {}}'.encode("utf-16"), "save it as UTF-8"),
    ],
)
def test_a_body_that_is_wrong_as_a_whole_is_told_so(body, told):
    with pytest.raises(MalformedJson, match=told):
        read_body(BulkRequest, body)
