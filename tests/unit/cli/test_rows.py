"""The parameters of a request for rows."""

from gristmill.cli.rows import query_of


def test_a_filter_on_a_column_with_the_name_of_a_parameter_is_a_filter():
    assert query_of(["limit=5", "country=KR"], "-n", None) == [
        ("limit__exact", "5"),
        ("country", "KR"),
        ("order_by", "-n"),
    ]


def test_several_values_of_a_column_are_alternatives():
    assert query_of(["country=KR", "country=JP"], None, "n") == [
        ("country__in", "KR"),
        ("country__in", "JP"),
        ("select", "n"),
    ]
