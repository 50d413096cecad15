"""No key has a right, or gives one, that the table below does not say."""

from datetime import timedelta
from itertools import chain, combinations

import pytest

from api_service.auth.rights import (
    MAX_PARENTS,
    SCOPES,
    Caller,
    check_job,
    check_making,
    check_scope,
    lifetime,
)
from shared.errors import Forbidden, NotFound

INCLUDES = {
    "read": {"read"},
    "upload": {"upload"},
    "submit": {"read", "submit", "upload"},
    "admin": {"admin", "read", "submit", "upload"},
}
SETS = [frozenset(each) for each in chain.from_iterable(combinations(SCOPES, size) for size in range(1, 5))]


def caller(scopes, **fields) -> Caller:
    return Caller(tenant="team", scopes=frozenset(scopes), key_id="key_1", **fields)


def allowed(scopes) -> set[str]:
    found = set()
    for needed in SCOPES:
        try:
            check_scope(caller(scopes), needed)
        except Forbidden:
            continue
        found.add(needed)
    return found


@pytest.mark.parametrize("scopes", SETS, ids=lambda scopes: "+".join(sorted(scopes)))
def test_scopes_allow_what_they_include(scopes):
    assert allowed(scopes) == set().union(*(INCLUDES[scope] for scope in scopes))


@pytest.mark.parametrize("maker", SETS, ids=lambda scopes: "+".join(sorted(scopes)))
def test_a_key_makes_exactly_those_keys_that_may_no_more_than_itself(maker):
    for wished in SETS:
        if allowed(wished) <= allowed(maker):
            check_making(caller(maker), wished)
        else:
            with pytest.raises(Forbidden, match="has " + " and ".join(s for s in SCOPES if s in maker)):
                check_making(caller(maker), wished)


def test_the_refusal_names_the_scope_that_is_needed_and_those_that_the_key_has():
    with pytest.raises(Forbidden, match="needs the scope submit, and the key key_1 has read and upload"):
        check_scope(caller({"upload", "read"}), "submit")


def test_a_key_of_one_job_opens_this_job():
    only = caller({"read"}, job="job_a")

    check_job(only, "job_a")
    with pytest.raises(NotFound, match="There is no job job_b"):
        check_job(only, "job_b")
    with pytest.raises(Forbidden, match="opens /v1/jobs/job_a"):
        check_job(only, None)
    for job in ("job_a", "job_b", None):
        check_job(caller({"read"}), job)


@pytest.mark.parametrize(
    ("scopes", "asked", "length"),
    [
        ({"admin"}, None, None),
        ({"admin"}, timedelta(days=400), timedelta(days=400)),
        ({"submit"}, None, timedelta(days=1)),
        ({"submit"}, timedelta(minutes=15), timedelta(minutes=15)),
        ({"submit"}, timedelta(days=1), timedelta(days=1)),
    ],
)
def test_a_key_without_admin_makes_keys_of_at_most_a_day(scopes, asked, length):
    assert lifetime(caller(scopes), asked) == length


def test_a_longer_key_is_refused_without_admin():
    with pytest.raises(Forbidden, match="at most 1d, not 86,401 seconds"):
        lifetime(caller({"submit"}), timedelta(days=1, seconds=1))


def test_keys_make_each_other_only_so_often():
    check_making(caller({"submit"}, parents=("key_0",) * (MAX_PARENTS - 1)), {"read"})
    with pytest.raises(Forbidden, match="such as key_0"):
        check_making(caller({"submit"}, parents=("key_0",) * MAX_PARENTS), {"read"})
