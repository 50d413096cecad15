"""Limits of a tenant over the defaults, and the bucket of requests."""

import pytest

from shared.core.limits import NAMES, UNLIMITED, Limits
from shared.core.token_bucket import Bucket, take
from shared.settings import Settings


def test_a_tenant_has_its_own_limits_and_for_the_others_the_defaults():
    defaults = Limits(queued_jobs=100, running_jobs=2)
    own = dict.fromkeys(NAMES) | {"queued_jobs": 5, "running_jobs": UNLIMITED, "uploads": 0}

    assert defaults.overridden(own) == Limits(queued_jobs=5, running_jobs=None, uploads=0)
    assert defaults.overridden(None) == defaults


def test_each_limit_has_a_setting_and_none_is_set_by_default():
    settings = Settings(database_url="x", redis_url="redis://y", tenant_queued_jobs=7)

    assert Limits.of(settings) == Limits(queued_jobs=7)


@pytest.mark.parametrize("rate", [1, 3, 100])
def test_a_bucket_lets_through_what_a_second_allows_and_then_the_rate(rate):
    bucket, through = None, 0
    for step in range(10 * 1000):  # ten seconds of a request a millisecond
        bucket, wait = take(bucket, rate, step / 1000)
        through += wait == 0
        assert 0 <= wait <= 1 / rate

    assert rate * 10 <= through <= rate * 11


def test_the_wait_that_a_bucket_tells_is_long_enough_and_a_refusal_costs_nothing():
    bucket, wait = take(Bucket(0.25, 10.0), 2, 10.0)
    assert (bucket.tokens, wait) == (0.25, 0.375)

    assert take(bucket, 2, 10.0 + wait)[1] == 0


def test_a_bucket_holds_the_tokens_of_one_second_however_long_it_rests():
    assert take(Bucket(0.0, 0.0), 5, 1e6)[0].tokens == 4
