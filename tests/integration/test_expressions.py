"""Jobs with expressions from end to end: counts, bad rows, limits, types and named results."""

import pytest

CHUNK = {"chunk_bytes": 1000}


def spec(uri, **parts):
    return {
        "source": {"uris": [uri]},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "n"}],
        "options": CHUNK,
        **parts,
    }


@pytest.fixture(scope="module")
def uri(stack):
    """2,000 rows: k is i % 10, n is i, and t has the text `x` once, late."""
    lines = (f"k{i % 10},{i},{'x' if i == 1900 else i / 2}\n" for i in range(2000))
    return stack.write("expressions.csv", "k,n,t\n" + "".join(lines))


def test_filtered_rows_are_counted_in_progress_and_receipt(stack, uri):
    job = stack.run(spec(uri, derive=[{"as": "third", "expr": "n % 3"}], where="third == 1"))
    assert job["error"] is None
    assert {row["k"]: row["sum_n"] for row in stack.rows(job["id"])} == {
        f"k{k}": sum(i for i in range(2000) if i % 10 == k and i % 3 == 1) for k in range(10)
    }
    kept = sum(i % 3 == 1 for i in range(2000))
    receipt = stack.http.get(f"/v1/jobs/{job['id']}/receipt").json()
    counts = {"read": 2000, "aggregated": kept, "filtered": 2000 - kept}
    assert {name: receipt["rows"][name] for name in counts} == counts
    assert job["progress"]["rows"]["filtered"] == 2000 - kept


def test_a_row_in_which_an_expression_has_an_error_is_a_bad_row(stack, uri):
    derive = [{"as": "far", "expr": "n + 9223372036854774307"}]
    failed = stack.run(spec(uri, derive=derive, where="n >= 1500"))
    assert failed["error"]["code"] == "bad_row"
    [error] = failed["error"]["errors"]
    assert error["column"] == "far"
    assert error["detail"].startswith("#/derive/0/expr: column 1: ")
    assert 1503 <= error["line"] <= 2001  # that of any chunk
    job = stack.run(
        spec(uri, derive=derive, where="n >= 1500", options={**CHUNK, "on_bad_row": "quarantine"})
    )
    assert job["error"] is None
    receipt = stack.http.get(f"/v1/jobs/{job['id']}/receipt").json()
    assert {name: receipt["rows"][name] for name in ("aggregated", "filtered", "quarantined")} == {
        "aggregated": 1,
        "filtered": 1500,
        "quarantined": 499,
    }


def test_having_drops_groups_and_the_digest_is_of_those_that_stay(stack, uri):
    kept = stack.run(spec(uri, having="sum_n > 200100"))
    same = stack.run(spec(uri, where="k in ('k6', 'k7', 'k8', 'k9')"))
    assert kept["result"]["digest"] == same["result"]["digest"]
    assert kept["result"]["rows"] == 4
    receipt = stack.http.get(f"/v1/jobs/{kept['id']}/receipt").json()
    assert receipt["rows"]["aggregated"] == receipt["rows"]["read"] == 2000
    few = stack.run(spec(uri, having="sum_n > 200100", limits={"max_groups": 9}))
    assert few["error"]["code"] == "group_limit_exceeded"


def test_an_error_in_compute_names_its_group(stack, uri):
    compute = [{"as": "far", "expr": "cast(sum_n, 'int64') * 46000000000000"}]
    job = stack.run(spec(uri, compute=compute, having="k == 'k0'"))
    assert job["error"]["code"] == "compute_failed"
    assert 'in the group where "k" is "k' in job["error"]["detail"]
    assert job["error"]["errors"][0]["pointer"] == "#/compute/0/expr"


def test_a_value_that_makes_a_column_a_string_is_told_with_the_expression(stack, uri):
    failed = stack.run(spec(uri, derive=[{"as": "half", "expr": "t / 2"}]))
    assert failed["error"]["code"] == "type_mismatch"
    [error] = failed["error"]["errors"]
    assert error["pointer"] == "#/derive/0/expr"
    assert "'x'" in error["detail"]


def test_a_named_result_may_have_computed_columns_and_indexes_of_them(stack, uri):
    parts = {
        "compute": [{"as": "mean", "expr": "sum_n / count"}],
        "aggregates": [{"fn": "sum", "column": "n"}, {"fn": "count"}],
        "output": {"name": "computed", "indexes": [["-mean"]]},
    }
    first, second = (stack.run(spec(uri, **parts)) for _ in range(2))
    assert (first["error"], second["error"]) == (None, None)
    answer = stack.http.get("/v1/results/computed/rows", params={"k": "k3", "order_by": "-mean"})
    [row] = answer.json()["items"]
    assert row == {"k": "k3", "sum_n": 199600, "count": 200, "mean": 998.0}


def test_a_pattern_that_the_engine_refuses_fails_the_job_with_its_place(stack, uri):
    job = stack.run(spec(uri, where=r"matches(k, '\p{Nonsense}')"))
    assert job["error"]["code"] == "invalid_spec"
    assert job["error"]["errors"][0]["pointer"] == "#/where"
    assert job["error"]["errors"][0]["detail"].startswith("column ")
