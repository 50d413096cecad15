"""The scripts of examples/ do what they say; the text that they read is written here as the gateway writes it."""

import csv
import datetime as dt
import importlib.util
import io
import json
import math
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shared.spec.digest import result_digest
from tests.unit.kernels.queries import query
from tests.unit.kernels.test_bytes import FULL, KEYS
from worker_service.kernels import combine, finalize, partial

SCRIPT = Path(__file__).parents[2] / "examples" / "recompute_digest.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("recompute_digest", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cell(value):
    """As Postgres writes it: docs/http.md."""
    match value:
        case float():
            text = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN" if math.isnan(value) else repr(value))
        case list():
            text = quoted(json.dumps([element if isinstance(element, str | int) else cell(element) for element in value]))
        case str():
            text = quoted(value)
        case dt.datetime():
            text = value.replace(tzinfo=None).isoformat(timespec="microseconds") + ("Z" if value.tzinfo else "")
        case Decimal():
            text = format(value, "f")
        case _:
            text = "" if value is None else str(value).lower()
    return text


def quoted(text):
    return '"' + text.replace('"', '""') + '"' if text == "" or any(c in text for c in '",\r\n') else text


def export(table):
    names = io.StringIO()
    csv.writer(names).writerow(table.column_names)
    return names.getvalue() + "".join(",".join(map(cell, row.values())) + "\r\n" for row in table.to_pylist())


def checked(script, frame, keys, aggregates):
    asked = query(frame, keys, aggregates)
    result = finalize(combine([partial(frame, asked)], asked), asked)
    given = [(key.name, key.type) for key in asked.keys] + [(a.name, a.result) for a in asked.aggregates]
    columns = [{"name": name, "type": str(kind)} for name, kind in given]
    lines = export(result.table)
    assert script.digest(lines, columns, len(keys)) == result_digest(columns, result.buckets)
    return lines, columns, result


def test_the_digest_is_recomputed_from_a_csv_with_every_type(script):
    checked(script, FULL, KEYS, ["count", "sum m", "mean f", "min z", "last t", "top s 2", "top z 2", "bottom m 1", "nunique d"])


def test_the_digest_is_recomputed_for_many_groups_and_for_one(script):
    r = np.random.default_rng(1)
    words = np.array(["", "a", "né\U0001f600", 'quo"te', "comma,", "line\r\nend", "eight by", "longer than eight"])
    frame = pa.table(
        {
            "s": pa.array(words[r.integers(0, 8, 4000)], mask=r.random(4000) < 0.1),
            "i": r.integers(-300, 300, 4000),
            "w": pa.array([Decimal(int(n)) * 10**25 for n in r.integers(-9, 9, 4000)], pa.decimal128(38, 2)),
            "x": r.standard_normal(4000),
        }
    )
    checked(script, frame, ["s", "i", "w"], ["count", "sum x", "std x", "arg_max s x", "bottom x 3", "median w"])
    checked(script, frame, [], ["sum x", "top s 5", "first s"])


def test_run_as_a_script_it_says_whether_the_job_is_right(script, tmp_path, monkeypatch, capsys):
    lines, columns, result = checked(script, FULL, ["s"], ["count"])
    (tmp_path / "rows.csv").write_bytes(lines.encode())
    for digest, code in ((result_digest(columns, result.buckets), 0), ("sha256:0", 1)):
        document = {"result": {"columns": columns, "digest": digest}, "spec": {"group_by": ["s"]}}
        (tmp_path / "job.json").write_text(json.dumps(document))
        monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "rows.csv"), str(tmp_path / "job.json")])
        with pytest.raises(SystemExit) as ended:
            exec(compile(SCRIPT.read_text(), str(SCRIPT), "exec"), {"__name__": "__main__"})
        assert ended.value.code == code
        assert ("as the job says" in capsys.readouterr().out) == (code == 0)
