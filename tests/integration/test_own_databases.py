"""The databases of tests: one failure leaves nothing behind that fails the next test."""

import psycopg
import pytest

from tests.support.databases import own_database


def test_a_database_goes_though_a_stack_in_it_does_not_start(postgres):
    for _ in range(2):
        with pytest.raises(TimeoutError), own_database(postgres, "failed") as dsn:
            raise TimeoutError

    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(dsn)
