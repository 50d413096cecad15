"""The filters of the command line become the parameters of a request for rows."""

import pytest

from gristmill.cli.mistakes import Mistake
from gristmill.cli.rows import filters_of
from gristmill.client.rows import row_query


def test_a_filter_on_a_column_with_the_name_of_a_parameter_is_a_filter():
    assert row_query(filters_of(["limit=5", "country=KR"]), {"order_by": "-n", "select": None}) == [
        ("limit__exact", "5"),
        ("country", "KR"),
        ("order_by", "-n"),
    ]


def test_several_values_of_a_column_are_alternatives():
    assert row_query(filters_of(["country=KR", "country=JP"]), {"select": "n"}) == [
        ("country__in", "KR"),
        ("country__in", "JP"),
        ("select", "n"),
    ]


def test_a_filter_without_a_value_is_refused():
    with pytest.raises(Mistake, match="write COLUMN=VALUE"):
        filters_of(["country"])
