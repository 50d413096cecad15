"""The scripts of examples/ do what they say.

The text that they read is written here as the gateway writes it.
"""

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
from shared.spec.functions import FUNCTIONS
from shared.spec.signature import ANYTHING
from tests.unit.kernels.queries import kind_of, query
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
            text = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(
                value, "NaN" if math.isnan(value) else repr(value)
            )
        case list():
            text = quoted(
                json.dumps(
                    [element if isinstance(element, str | int) else cell(element) for element in value]
                )
            )
        case str():
            text = quoted(value)
        case dt.datetime():
            text = value.replace(tzinfo=None).isoformat(timespec="microseconds") + (
                "Z" if value.tzinfo else ""
            )
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


def checked(script, frame, keys, aggregates, semantics="sql"):
    asked = query(frame, keys, aggregates, semantics)
    result = finalize(combine([partial(frame, asked)], asked), asked)
    given = [(key.name, key.type) for key in asked.keys]
    given += [(a.name, "decimal(38,0)" if a.name in result.widened else a.result) for a in asked.aggregates]
    columns = [{"name": name, "type": str(kind)} for name, kind in given]
    lines = export(result.table)
    assert script.digest(lines, columns, len(keys)) == result_digest(columns, result.buckets)
    return lines, columns, result


def test_the_digest_is_recomputed_from_a_csv_with_every_type(script):
    checked(
        script,
        FULL,
        KEYS,
        ["count", "sum m", "mean f", "min z", "last t", "top s 2", "top z 2", "bottom m 1", "nunique d"],
    )


def every_aggregate(frame):
    """Each function of every column that it takes.

    What it needs beside is a column of numbers, or a small number.
    """
    beside = {"by": "i", "x": "i", "ddof": "1", "q": "0.3", "k": "2"}
    for fn, function in FUNCTIONS.items():
        for column in frame.column_names if function.parameters else [""]:
            if not column or kind_of(frame, column).kind in function.first_accepts.kinds:
                yield " ".join(
                    [fn, *(beside.get(parameter, column) for parameter in function.parameters)]
                ).strip()


@pytest.mark.parametrize("semantics", ["sql", "pandas"])
def test_the_digest_is_recomputed_for_the_results_of_every_aggregate_of_every_type(script, semantics):
    frame = FULL.append_column(
        "w", pa.array([Decimal("-" + "9" * 15 + ".5"), None, Decimal(7)], pa.decimal128(35, 1))
    )
    frame = pa.concat_tables(
        [frame, frame.slice(2), frame.set_column(4, "f", pa.array([math.inf, -math.inf, 5e-324]))]
    )
    asked = list(every_aggregate(frame))
    assert {text.split()[0] for text in asked} == set(FUNCTIONS)
    _, columns, result = checked(script, frame, ["b"], asked, semantics)
    assert {column["type"].split("(")[0] for column in columns} > ANYTHING.kinds
    assert result.widened == ["sum i"]


def test_the_order_of_the_exported_rows_does_not_matter(script):
    lines, columns, result = checked(script, FULL, ["f", "s"], ["count", "max d"])
    header, *rows = lines.splitlines(keepends=True)
    assert script.digest("".join([header, *reversed(rows)]), columns, 2) == result_digest(
        columns, result.buckets
    )


def test_the_script_is_short_enough_to_be_read_at_once():
    lines = [line for line in SCRIPT.read_text().splitlines() if line]
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 110


def test_the_digest_is_recomputed_for_many_groups_and_for_one(script):
    r = np.random.default_rng(1)
    words = np.array(
        ["", "a", "né\U0001f600", 'quo"te', "comma,", "line\r\nend", "eight by", "longer than eight"]
    )
    frame = pa.table(
        {
            "s": pa.array(words[r.integers(0, 8, 4000)], mask=r.random(4000) < 0.1),
            "i": r.integers(-300, 300, 4000),
            "w": pa.array([Decimal(int(n)) * 10**25 for n in r.integers(-9, 9, 4000)], pa.decimal128(38, 2)),
            "x": r.standard_normal(4000),
        }
    )
    checked(
        script, frame, ["s", "i", "w"], ["count", "sum x", "std x", "arg_max s x", "bottom x 3", "median w"]
    )
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
