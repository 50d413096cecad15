"""Exceptions keep their fields and their messages on the way between processes."""

import pickle

import pytest

import gristmill
from gristmill import (
    DigestMismatch,
    JobCancelled,
    JobFailed,
    JobTimeout,
    MissingPackage,
    NotFound,
    SourceChanged,
    Unreachable,
    UploadInterrupted,
)
from gristmill.client.errors import ProblemError
from tests.support.reference import errors

PROBLEM = {
    "code": "bad_row", "detail": "'n/a' is no decimal", "category": "source", "retryable": False,
    "errors": [{"detail": "'n/a' is no decimal", "uri": "upload:upl_1", "line": 5, "value": "n/a"}],
}  # fmt: skip
RAISED = [
    JobFailed("job_1", PROBLEM),
    JobCancelled("job_1"),
    JobTimeout("job_1", 2.5, {"state": "running", "progress": {"fraction": 0.4}}),
    ProblemError.of(404, {"code": "not_found", "detail": "no job", "request_id": "req_1"}, 3.0),
    UploadInterrupted("upl_1", "a.csv", 5, 10, "reset"),
    DigestMismatch("results.a", "sha256:0", "sha256:1"),
    MissingPackage.of("pyarrow", "to_arrow()"),
    SourceChanged("a.csv"),
    Unreachable("GET", "http://127.0.0.1:1/", "refused"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_an_exception_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_a_failed_job_has_cause_place_value_and_cure():
    failed = RAISED[0]

    assert (failed.cause, failed.value, failed.place["line"]) == ("bad_row", "n/a", 5)
    assert str(failed) == (
        "job_1 failed: bad_row: 'n/a' is no decimal\n"
        "Correct the data, or tell the spec how to read it, and submit it again."
    )
    assert JobFailed("job_1", PROBLEM | {"errors": []}).place == {}
    assert JobFailed("job_1", PROBLEM | {"errors": []}).value is None


@pytest.mark.parametrize(
    ("category", "cure"),
    [("user", "Change the spec"), ("quota", "Raise the limit"), ("system", "Call job.retry()")],
)
def test_the_cure_is_that_of_the_category(category, cure):
    assert JobFailed("job_1", PROBLEM | {"category": category}).cure.startswith(cure)


def test_a_timeout_says_how_to_go_on():
    assert str(RAISED[2]) == (
        "job_1 is running (40%) after 2.5 s and goes on. "
        "Wait on with client.job('job_1').wait(), or end it with client.job('job_1').cancel()"
    )


def test_a_missing_package_says_how_to_install_it():
    assert isinstance(RAISED[6], ImportError)
    assert str(RAISED[6]) == "to_arrow() needs pyarrow: pip install pyarrow"


def test_every_exception_has_the_base():
    assert all(issubclass(getattr(gristmill, name), gristmill.GristmillError) for name in errors())
    assert isinstance(RAISED[3], NotFound)
