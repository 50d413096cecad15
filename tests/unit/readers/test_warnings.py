"""What a plan warns of, and text that most values are not: an order of texts is refused."""

from unittest.mock import patch

import pytest

from tests.support.child_tasks import chunk_task, plan_task
from tests.support.work import Work
from worker_service.child import tasks
from worker_service.messages import Failed, PlanResult, Widened


def planned(tmp_path, data, aggregates, *, types=None, **changes):
    path = tmp_path / "a.csv"
    path.write_text(data)
    spec = {
        "source": {"uris": ["file:///data/a.csv"], "types": types or {}},
        "group_by": ["k"],
        "aggregates": aggregates,
    }
    return spec, tasks.run(plan_task(spec, path, **changes))[0]


def of(fn, **more):
    return [{"fn": fn, "column": "v", **more}]


def told(data):
    return "k,v\n" + "".join(f"a,{text}\n" for text in data)


ODD = ["9", "100", "12", "N/A"]


@pytest.mark.parametrize("aggregate", [of("min"), of("max"), of("top", k=1), of("bottom", k=2)])
def test_an_order_of_text_that_mostly_reads_as_numbers_is_refused_with_culprit_and_cure(tmp_path, aggregate):
    _, failed = planned(tmp_path, told(ODD), aggregate)
    assert isinstance(failed, Failed)
    assert failed.problem["code"] == "type_mismatch"
    assert failed.problem["errors"][0]["pointer"] == "#/aggregates/0/column"
    assert "'N/A'" in failed.problem["detail"]
    assert '"null_values": ["N/A"]' in failed.problem["detail"]
    assert 'or write {"v": "string"} into source.types' in failed.problem["detail"]
    assert isinstance(planned(tmp_path, told(ODD), aggregate, types={"v": "string"})[1], PlanResult)


def test_by_is_an_order_and_the_column_beside_it_is_none(tmp_path):
    [pick] = of("arg_max", by="k")
    assert isinstance(planned(tmp_path, told(ODD), [pick])[1], PlanResult)
    [order] = [{"fn": "arg_max", "column": "k", "by": "v"}]
    assert planned(tmp_path, told(ODD), [order])[1].problem["errors"][0]["pointer"] == "#/aggregates/0/by"


@pytest.mark.parametrize("texts", [["a", "b", "7"], ["", ""], ["x"]])
def test_what_reads_as_text_has_an_order_and_no_warning(tmp_path, texts):
    _, plan = planned(tmp_path, told(texts), of("max"))
    assert (isinstance(plan, PlanResult), plan.plan.warnings) == (True, ())


def test_other_uses_of_such_text_add_a_warning_that_names_culprit_and_cure(tmp_path):
    _, plan = planned(tmp_path, told(ODD), of("nunique"))
    [warning] = plan.plan.warnings
    assert warning.code == "read_as_text"
    assert warning.detail.startswith("\"v\" is read as text, and most of its values read as a number: 'N/A'")
    assert '"null_values": ["N/A"]' in warning.detail
    assert planned(tmp_path, told(ODD), of("nunique"), types={"v": "string"})[1].plan.warnings == ()


def test_a_key_is_read_for_its_spelling_and_warns_of_nothing(tmp_path):
    data = "k,v\n1.10,1\n1.1,2\nx,3\n"
    assert planned(tmp_path, data, of("sum"))[1].plan.warnings == ()


@pytest.mark.parametrize(
    ("fn", "texts", "warns"),
    [
        ("nunique", ["1.0", "1", "2.5"], True),
        ("mode", ["1e2", "100.0"], True),
        ("first", ["1.50", "1.5"], True),
        ("nunique", ["1.5", "2.5", "1.5"], False),
        ("sum", ["1.0", "1", "2.5"], False),
        ("max", ["1.0", "1", "2.5"], False),
    ],
)
def test_numbers_that_are_spelled_in_several_ways_are_told_where_that_matters(tmp_path, fn, texts, warns):
    _, plan = planned(tmp_path, told(texts), of(fn))
    assert [w.code for w in plan.plan.warnings] == ["spellings_differ"] * warns


def test_warnings_are_the_same_for_any_chunking(tmp_path):
    data = told([*ODD, "1.0", "1"] * 500)
    found = {
        planned(tmp_path, data, of("nunique"), chunk_bytes=size, prove=prove)[1].plan.warnings
        for size in (50, 1000, 1 << 20)
        for prove in (False, True)
    }
    assert len(found) == 1


def test_a_late_value_is_told_to_the_parent_which_knows_what_the_column_read_as(tmp_path):
    data = told([f"{i}.5" for i in range(9000)] + ["11.0.1"] + [f"{i}.5" for i in range(9000)])
    with patch("worker_service.readers.csv.plan._SAMPLES", 1):
        spec, plan = planned(tmp_path, data, of("max"), chunk_bytes=1 << 20)
    assert [(c.type, c.reads) for c in plan.plan.schema if c.name == "v"] == [("float64", "number")]
    widened = tasks.run(chunk_task(spec, plan, 0))[0]
    assert isinstance(widened, Widened)
    assert "'v' has '11.0.1' in the record at line 9002, byte " in widened.detail


def test_a_column_that_is_key_and_value_is_told_the_type_that_each_use_needs(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("k\n" + "1\n" * 40_000 + "1.0\n" + "1\n" * 40_000)
    spec = {
        "source": {"uris": ["file:///data/a.csv"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "k"}],
    }
    with patch("worker_service.readers.csv.plan._SAMPLES", 1):
        plan = tasks.run(plan_task(spec, path, chunk_bytes=1 << 20))[0]
    assert [(c.name, c.type, c.key) for c in plan.plan.schema] == [
        ("\0k", "int64", True),
        ("k", "int64", False),
    ]
    widened = tasks.run(chunk_task(spec, plan, 0))[0]
    assert widened.types == {"\0k": "string", "k": "float64"}


def test_the_rows_of_a_column_that_is_key_and_value_are_grouped_by_text_and_summed_as_numbers():
    spec = {
        "source": {"uris": ["file:///data/a.csv"]},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "k"}, {"fn": "max", "column": "k"}],
    }
    _, rows = Work(spec).result(b"k\n1\n1.0\n1.50\n1\n1.0\n")
    assert sorted(line.split(b",", 1)[1] for line in rows.splitlines()) == [
        b'"1",2,1', b'"1.0",2,1', b'"1.50",1.5,1.5'
    ]  # fmt: skip
