"""A cause that would keep a result from being stored or published is reported before the scan."""

import psycopg
import pytest

from shared.core.columns import misfits

A, B, C = ({"name": name, "type": kind} for name, kind in [("a", "string"), ("b", "int64"), ("c", "float64")])


@pytest.mark.parametrize(
    ("old", "new", "undecided", "wrong"),
    [
        ([A, B], [A, B], {}, ""),
        ([A, B], [A, B, C], {}, ""),
        ([], [A], {}, ""),
        ([A, B], [A], {}, 'column 2 is "b" int64 there and missing here'),
        (
            [A, B],
            [B, A],
            {},
            (
                'column 1 is "a" string there and "b" int64 here, '
                'column 2 is "b" int64 there and "a" string here'
            ),
        ),
        ([A, B], [A, C, B], {}, 'column 2 is "b" int64 there and "c" float64 here'),
        ([B], [{**B, "type": "decimal(38,0)"}], {}, 'column 1 is "b" int64 there and "b" decimal(38,0) here'),
        ([{**B, "type": "decimal(38,0)"}], [B], {"b": {"decimal(38,0)"}}, ""),
        (
            [{**B, "type": "float64"}],
            [B],
            {"b": {"decimal(38,0)"}},
            'column 1 is "b" float64 there and "b" int64 here',
        ),
        ([{**B, "type": "float64"}], [B], {"b": {"float64", "string"}}, ""),
    ],
)
def test_a_new_version_may_only_add_columns_at_the_end(old, new, undecided, wrong):
    assert misfits(old, new, undecided) == wrong


def test_of_many_columns_that_differ_some_are_shown():
    old, new = ([{"name": f"{letter}{no}", "type": "string"} for no in range(100)] for letter in "ab")
    assert misfits(old, new).endswith(", and 95 more differ")


@pytest.fixture(scope="module")
def sales(stack):
    """A source and the part of the spec that all versions share; the first version is published."""
    uri = stack.write(
        "sales.csv",
        "shop,amount,price,big\n" + "a,1,2.5,9123456789123456789\nb,2,3.5,9123456789123456789\n" * 20,
    )
    spec = {
        "source": {"uris": [uri]},
        "group_by": ["shop"],
        "output": {"name": "sales"},
        "options": {"chunk_bytes": 200},
    }
    first = stack.run(spec | {"aggregates": [{"fn": "sum", "column": "amount", "as": "total"}]})
    assert first["state"] == "succeeded", first["error"]
    return spec


def test_another_columns_type_or_name_fails_the_job_before_any_chunk_is_made(stack, sales):
    job = stack.run(sales | {"aggregates": [{"fn": "mean", "column": "price", "as": "total"}]})
    assert (job["state"], job["phase"], job["error"]["code"]) == (
        "failed",
        "planning",
        "output_schema_changed",
    )
    assert 'column 2 is "total" int64 there and "total" float64 here' in job["error"]["detail"]
    with psycopg.connect(stack.database_url) as connection:
        kinds = connection.execute(
            "SELECT DISTINCT kind FROM gristmill.units WHERE job_id = %s", (job["id"],)
        ).fetchall()
    assert kinds == [("plan",)]


def test_columns_may_be_added_at_the_end(stack, sales):
    more = [{"fn": "sum", "column": "amount", "as": "total"}, {"fn": "count"}]
    job = stack.run(sales | {"output": {"name": "growing"}, "aggregates": more[:1]})
    assert job["state"] == "succeeded"
    job = stack.run(sales | {"output": {"name": "growing"}, "aggregates": more})
    assert (job["state"], job["result"]["current"]) == ("succeeded", True)
    with psycopg.connect(stack.database_url) as connection:
        assert connection.execute(
            "SELECT shop, total, count FROM results.growing ORDER BY shop"
        ).fetchall() == [
            ("a", 20, 20),
            ("b", 40, 20),
        ]


def test_a_sum_that_only_the_merge_makes_wider_is_told_when_it_is_published(stack, sales):
    small = sales | {
        "output": {"name": "sums"},
        "aggregates": [{"fn": "sum", "column": "amount", "as": "total"}],
    }
    assert stack.run(small)["state"] == "succeeded"
    job = stack.run(small | {"aggregates": [{"fn": "sum", "column": "big", "as": "total"}]})
    assert (job["state"], job["phase"], job["error"]["code"]) == (
        "failed",
        "publishing",
        "output_schema_changed",
    )
    assert 'column 2 is "total" int64 there and "total" decimal(38,0) here' in job["error"]["detail"]


def test_rows_that_are_known_to_be_too_wide_only_with_the_data_fail_before_the_scan(stack, sales):
    firsts = [{"fn": "first", "column": "shop", "as": f"f{no}"} for no in range(340)]
    job = stack.run(sales | {"output": {}, "aggregates": firsts})
    assert (job["state"], job["phase"], job["error"]["code"]) == ("failed", "planning", "too_many_columns")
    assert "8,160 in a row" in job["error"]["detail"]


def test_what_no_table_holds_is_refused_when_it_is_submitted(stack, sales):
    quantile = {"fn": "quantile", "column": "price", "q": [no / 1000 for no in range(100)]}
    for count, words in (
        (17, "1,702 columns with _id; a Postgres table has at most 1,600"),
        (11, "8,160 in a row"),
    ):
        answer = stack.http.post(
            "/v1/jobs", json=sales | {"aggregates": [quantile | {"as": f"a{no}"} for no in range(count)]}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "too_many_columns")
        assert words in answer.json()["detail"]
        assert answer.json()["errors"][0]["pointer"] == "#/aggregates"


def test_a_column_that_late_values_widen_may_do_so_in_every_version(stack):
    text = "k,v\n" + "a,1\n" * 60_000 + "a,0.5\n"
    spec = {
        "source": {"uris": [stack.write("late-versions.csv", text)]},
        "group_by": ["k"],
        "aggregates": [{"fn": "max", "column": "v"}, {"fn": "sum", "column": "v"}],
        "output": {"name": "late_versions"},
        "options": {"chunk_bytes": 20_000},
    }
    for version in (1, 2):
        job = stack.run(spec)
        assert job["state"] == "succeeded", job["error"]
        assert (job["result"]["version"], job["result"]["columns"][1]["type"]) == (version, "float64")
