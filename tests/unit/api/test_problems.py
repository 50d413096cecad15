"""The table of errors, and settings that decide how the gateway starts."""

import json

import pytest

from api_service.auth.credentials import is_loopback
from api_service.problems import STATUSES, problem_response, status_and_title
from shared import errors


def test_every_usage_error_has_its_own_row():
    leaves = [cls for cls in errors.subclasses(errors.UsageError) if cls is not errors.UsageError]

    assert [cls.__name__ for cls in leaves if cls not in STATUSES] == []
    assert all(400 <= STATUSES[cls][0] < 500 for cls in leaves)


def test_errors_without_a_row_take_the_status_of_their_kind():
    assert status_and_title(errors.DatabaseUnavailable("x"))[0] == 503
    assert status_and_title(errors.NotMigrated("x"))[0] == 503
    assert status_and_title(errors.InternalError("x"))[0] == 500
    assert status_and_title(errors.BadRow("x"))[0] == 500


def test_a_problem_has_all_its_members_and_says_when_to_try_again():
    error = errors.InvalidSpec("the spec is wrong", pointer="#/group_by/0")
    response = problem_response(error, instance="/v1/jobs", request_id="r1")

    assert response.content_type == "application/problem+json"
    assert json.loads(response.body) == {
        "type": "urn:gristmill:problem:invalid_spec",
        "title": "Invalid spec",
        "status": 422,
        "detail": "the spec is wrong",
        "instance": "/v1/jobs",
        "request_id": "r1",
        "code": "invalid_spec",
        "category": "user",
        "retryable": False,
        "errors": [{"pointer": "#/group_by/0", "detail": "the spec is wrong"}],
    }
    assert "Retry-After" not in response.headers
    assert (
        problem_response(errors.DatabaseUnavailable("x"), instance="/", request_id="r").headers["Retry-After"]
        == "1"
    )


@pytest.mark.parametrize(
    ("host", "yes"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_only_loopback_addresses_are_loopback(host, yes):
    assert is_loopback(host) is yes
