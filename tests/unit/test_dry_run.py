"""A child's look at a dataset, in every format, compared with pandas."""

import gzip
import json
import re
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.child_tasks import plan_task
from worker_service.child import tasks
from worker_service.messages import PlanResult, decode_outcome, encode
from worker_service.readers import look as readers_look

ROWS = 4000
COUNT = [{"fn": "count"}]


def looked(*paths: Path, keys=(), source=None, **spec):
    whole = {
        "source": {"uris": ["file:///x"]} | (source or {}),
        "group_by": list(keys),
        "aggregates": COUNT,
    } | spec
    task = plan_task(whole, *paths, look=True, chunk_bytes=None, max_names=100_000)
    outcome = decode_outcome(tasks.answer(encode(task))[0])
    assert isinstance(outcome, PlanResult), outcome
    return outcome.look


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "k": random.integers(0, 300, ROWS),
            "name": [f"name {i % 900}" for i in range(ROWS)],
            "x": random.random(ROWS).round(3),
            "at": pd.date_range("2026-01-01", periods=ROWS, freq="min"),
        }
    )


def written(frame: pd.DataFrame, folder: Path, kind: str) -> Path:
    path = folder / f"data.{kind}"
    match kind:
        case "csv" | "csv.gz":
            frame.to_csv(path, index=False, date_format="%Y-%m-%dT%H:%M:%S")
        case "ndjson":
            lines = frame.assign(at=frame["at"].map(datetime.isoformat)).to_dict(orient="records")
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        case "parquet":
            pq.write_table(pa.Table.from_pandas(frame), path, row_group_size=700)
        case "xlsx":
            frame.to_excel(path, index=False)
        case "arrow":
            table = pa.Table.from_pandas(frame)
            with pa.ipc.new_stream(path, table.schema) as stream:
                stream.write_table(table, max_chunksize=500)
    return path


KINDS = ["csv", "csv.gz", "ndjson", "parquet", "xlsx", "arrow"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_dataset_is_counted(frame, tmp_path, kind):
    found = looked(written(frame, tmp_path, kind), keys=["k"], source={"csv": {}})

    assert (found.rows.value, found.rows.accuracy) == (ROWS, "exact")
    assert (found.groups.value, found.groups.accuracy) == (frame["k"].nunique(), "exact")
    assert [(c.name, c.type, c.used) for c in found.columns] == [
        ("k", "int64", True),
        ("name", "string", False),
        ("x", "float64", False),
        ("at", "string" if kind == "ndjson" else "timestamp", False),
    ]
    first = [msgspec.structs.asdict(row)["values"] for row in found.sample]
    expected = frame.head(20).assign(at=lambda rows: rows["at"].map(datetime.isoformat))
    assert first == expected.to_dict(orient="records")


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_one_is_estimated(frame, tmp_path, kind):
    """With places so small that a few hundred rows are read."""
    with patch.multiple(readers_look, WHOLE_BYTES=0), patch("worker_service.child.look.PLACE_BYTES", 2000):
        found = looked(written(frame, tmp_path, kind), keys=["k"])

    if kind in {"parquet", "xlsx"}:
        assert (found.rows.value, found.rows.accuracy) == (ROWS, "exact")
    elif kind == "arrow":  # a stream does not tell its rows
        assert found.rows.accuracy == "lower_bound"
        assert 0 < found.rows.value <= ROWS
    elif found.rows.accuracy == "estimate":
        assert 0.8 * ROWS < found.rows.value < 1.25 * ROWS
    else:
        assert found.rows.value == ROWS
    assert 0 < found.groups.value <= ROWS


def test_where_counts_in_groups_and_not_in_rows(frame, tmp_path):
    found = looked(written(frame, tmp_path, "csv"), keys=["name"], where="k < 30")
    assert found.rows.value == ROWS
    assert found.groups.value == frame[frame["k"] < 30]["name"].nunique()


def test_no_keys_are_one_group(frame, tmp_path):
    assert looked(written(frame, tmp_path, "csv")).groups.value == 1


def test_time_buckets_are_grouped_by(frame, tmp_path):
    key = {"time_bucket": "1d", "column": "at"}
    found = looked(written(frame, tmp_path, "csv"), keys=[key])
    assert found.groups.value == frame["at"].dt.date.nunique()


def test_a_group_limit_below_the_estimate_is_a_warning(frame, tmp_path):
    found = looked(written(frame, tmp_path, "csv"), keys=["k"], limits={"max_groups": 20})
    [warned] = found.warnings
    assert warned.code == "many_groups"
    assert "limits.max_groups is 20" in warned.detail


def test_a_key_of_another_type_than_its_values_is_a_warning_whose_advice_groups_by_value(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("zip,price,ok,n\n007,1.0,TRUE,1\n7,1,true,2\n07,1.00,True,3\n8,2.5,False,4\n")
    keys = ["zip", "price", "ok", "n"]
    assert looked(path).warnings == ()
    found = looked(path, keys=keys)
    assert [(w.code, w.column) for w in found.warnings] == [
        ("key_keeps_spelling", name) for name in ("ok", "price")
    ]
    advised = {}
    for warned in found.warnings:
        advised |= json.loads(re.search(r"write (\{.*?\}) into source.types", warned.detail)[1])
    assert advised == {"ok": "bool", "price": "float64"}
    assert "reads as bool, and as a group key it is string" in found.warnings[0].detail
    for name, groups in (("price", 2), ("ok", 2)):
        assert looked(path, keys=[name]).groups.value > groups
        typed = looked(path, keys=[name], source={"uris": ["file:///x"], "types": advised})
        assert (typed.groups.value, typed.warnings) == (groups, ())


def test_a_value_that_widens_a_column_behind_the_samples_is_read(tmp_path):
    """Types are from the beginning of a stream: a later value is no number."""
    path = tmp_path / "a.csv.gz"
    text = "k\n" + "12345678\n" * 200_000 + "seven\n" * 5
    path.write_bytes(gzip.compress(text.encode(), 1))
    found = looked(path, keys=["k"])
    assert (found.rows.value, found.groups.value) == (200_005, 2)


def test_columns_of_all_files_are_shown_and_those_that_two_have_twice_have_no_type(tmp_path):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("k,twice,twice\n1,2,3\n")
    second.write_text("k,more\n1,x\n")
    found = looked(first, second, keys=["k"])
    assert [(c.name, c.type) for c in found.columns] == [("k", "int64"), ("twice", None), ("more", "string")]
    assert found.rows.value == 2
    assert msgspec.structs.asdict(found.sample[0])["values"] == {"k": 1, "more": None}


def test_columns_of_paths_are_shown(tmp_path):
    folder = tmp_path / "year=2026"
    folder.mkdir()
    (folder / "a.csv").write_text("v\n1\n")
    task = {"partitions": "hive", "file_column": "file"}
    found = looked(folder / "a.csv", source=task)
    assert [(c.name, c.type) for c in found.columns] == [
        ("v", "int64"),
        ("year", "int64"),
        ("file", "string"),
    ]


def test_a_header_alone_has_no_rows(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n")
    found = looked(tmp_path / "a.csv", keys=["a"])
    assert (found.rows.value, found.groups.value, found.sample, found.chunks.value) == (0, 0, (), 0)
    assert [c.name for c in found.columns] == ["a", "b"]


def test_long_texts_are_cut_and_columns_are_bounded(tmp_path):
    names = [f"c{i}" for i in range(1500)]
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + ",".join(["y" * 1000] * 1500) + "\n")
    found = looked(tmp_path / "a.csv", keys=["c1400"])
    assert (len(found.columns), found.column_count) == (1000, 1500)
    assert [c.name for c in found.columns if c.used] == ["c1400"]
    [row] = found.sample
    assert {len(text) for text in msgspec.structs.asdict(row)["values"].values()} == {500}
    assert len(row.cut) == 1000


def test_a_large_file_that_allows_no_guess_is_not_read_whole(tmp_path):
    """Records longer than a guess looks."""
    path = tmp_path / "a.csv"
    path.write_text("k,text\n" + "".join(f"{i},{'z' * 300_000}\n" for i in range(60)))
    with (
        patch.object(tasks, "PASS_BYTES", 1 << 20),
        patch("worker_service.readers.csv.cuts.record_starts") as whole,
    ):
        task = plan_task(
            {"source": {"uris": ["file:///x"]}, "group_by": ["k"], "aggregates": COUNT},
            path,
            look=True,
            chunk_bytes=1 << 20,
        )
        found = decode_outcome(tasks.answer(encode(task))[0]).look
    assert not whole.called
    assert found.chunks.accuracy == "estimate"
    assert found.chunks.value == 18
    assert 30 <= found.rows.value <= 120
