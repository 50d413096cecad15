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


def test_the_error_names_the_declaration_that_restores_a_type_and_it_does(stack):
    def spec(uri, types):
        source = {"uris": [uri], "types": types}
        return {
            "source": source,
            "group_by": ["ver"],
            "aggregates": [{"fn": "count"}, {"fn": "max", "column": "v"}],
            "output": {"name": "versions_of"},
        }

    old, new = stack.write("old.csv", "ver,v\n1,1\n"), stack.write("new.csv", "ver,v\n1.10,2.5\n1.1,3\n")
    assert stack.run(spec(old, {"ver": "float64", "v": "float64"}))["state"] == "succeeded"
    failed = stack.run(spec(new, {}))["error"]
    assert failed["code"] == "output_schema_changed"
    assert 'column 1 is "ver" float64 there and "ver" string here' in failed["detail"]
    told = ', if all values of "ver" are float64'
    assert f'source.types {{"ver": "float64"}} restores the old types{told}. ' in failed["detail"]
    assert failed["errors"] == [
        {"pointer": "#/source/types/ver", "detail": f"float64 restores the old type{told}"}
    ]
    assert stack.run(spec(new, {"ver": "float64"}))["state"] == "succeeded"
    assert stack.sql("SELECT ver, count, max_v FROM results.versions_of") == [(1.1, 2, 3.0)]


def test_a_version_whose_values_fit_the_published_types_follows_it(stack):
    spec = {
        "group_by": ["ver", "day"],
        "aggregates": [
            {"fn": "sum", "column": "n"},
            {"fn": "max", "column": "x"},
            {"fn": "max", "column": "t"},
            {"fn": "count"},
        ],
        "output": {"name": "followed"},
    }
    head = "ver,day,n,x,t\n"
    wide = head + "1.10,Mon,9223372036854775807,1.5,2024-01-02 03:04:05\n1.10,Mon,1,2,2024-01-02\n"
    narrow = head + "7,2024-01-02,5,3,2024-05-06\n8,2024-01-03,6,4,2024-05-07\n"
    types = ["string", "string", "decimal(38,0)", "float64", "timestamp", "int64"]
    for text in (wide, narrow, wide):
        source = {"uris": [stack.write("followed.csv", text)]}
        job = stack.run(spec | {"source": source})
        assert job["state"] == "succeeded", job["error"]
        assert [column["type"] for column in job["result"]["columns"]] == types
        if text is narrow:
            rows = stack.sql("SELECT ver, day, sum_n, max_x, max_t::text FROM results.followed ORDER BY ver")
            assert rows == [
                ("7", "2024-01-02", 5, 3.0, "2024-05-06 00:00:00"),
                ("8", "2024-01-03", 6, 4.0, "2024-05-07 00:00:00"),
            ]
    big = head + f"7,Mon,1,{2**53 + 1},2024-05-06\n"
    failed = stack.run(spec | {"source": {"uris": [stack.write("big.csv", big)]}})
    assert failed["state"] == "failed"


def test_a_result_gets_other_columns_where_the_spec_says_replace_and_its_grants_stay(stack, sales):
    fewer = {"output": {"name": "remade"}, "aggregates": [{"fn": "count"}, {"fn": "max", "column": "price"}]}
    assert stack.run(sales | fewer)["state"] == "succeeded"
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("GRANT SELECT ON results.remade TO PUBLIC")
        connection.execute("CREATE VIEW results.public_look AS SELECT count FROM results.remade")
    other = {
        "output": {"name": "remade", "on_schema_change": "replace"},
        "aggregates": [{"fn": "mean", "column": "price", "as": "count"}],
    }
    held = stack.run(sales | other)
    assert (held["error"]["code"], "public_look" in held["error"]["detail"]) == (
        "output_schema_changed",
        True,
    )
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute("DROP VIEW results.public_look")
    job = stack.run(sales | other)
    assert (job["state"], job["result"]["version"], job["result"]["current"]) == ("succeeded", 3, True)
    assert stack.sql("SELECT shop, count FROM results.remade ORDER BY shop") == [("a", 2.5), ("b", 3.5)]
    with psycopg.connect(stack.database_url) as connection:
        granted = connection.execute(
            "SELECT has_table_privilege('public', 'results.remade', 'SELECT')"
        ).fetchone()
    assert granted == (True,)
    same = stack.run(sales | {**other, "output": {"name": "remade"}})
    assert same["state"] == "succeeded", "a version like the replaced one follows it"


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
