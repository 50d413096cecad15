"""The commands that submit a spec again: each makes the same spec, by the SDK's own functions."""

import json
import shlex
import sys
from types import ModuleType

import pytest

import gristmill
from api_service.dashboard import equivalents
from gristmill.client.spec import job_spec
from shared.spec.digests import canonical_json
from shared.spec.parse import parse_spec

URL = "https://gristmill.example/mill"
PLAIN = {
    "source": {"uris": ["file:///data/a.csv"]},
    "group_by": ["city"],
    "aggregates": [{"fn": "count"}],
}
SPECS = {
    "plain": PLAIN,
    "no key": PLAIN | {"group_by": []},
    "many files": PLAIN | {"source": {"uris": [f"file:///data/{'x' * 30}{no}.csv" for no in range(9)]}},
    "buckets": PLAIN
    | {
        "group_by": [
            {"time_bucket": "1mo", "column": "at"},
            {"time_bucket": "15m", "column": "at", "as": "quarter", "tz": "Europe/Oslo"},
            {"time_bucket": "1d", "column": "at", "as": "day"},
        ]
    },
    "aggregates": PLAIN
    | {
        "aggregates": [
            {"fn": "sum", "column": "price", "as": "it's \"much\"\\"},
            {"fn": "quantile", "column": "price", "q": [0.5, 0.99]},
            {"fn": "count", "where": "status == 'paid'", "as": "paid"},
            {"fn": "top", "column": "price", "k": 7},
            {"fn": "arg_max", "column": "city", "by": "price"},
            {"fn": "corr", "x": "price", "y": "fee"},
            {"fn": "std", "column": "price", "ddof": 0},
        ]
    },
    "zeros": PLAIN | {"options": {"priority": 0, "on_bad_row": "skip", "max_bad_rows": 0}},
    "everything": {
        "source": {
            "uris": ["file:///data/\N{SNOWMAN}.csv"],
            "format": "csv",
            "compression": "gzip",
            "csv": {"delimiter": ";", "quote": None, "null_values": ["", "-"], "decimal": ","},
            "types": {"price": {"type": "decimal(18,2)", "strip": "$"}, "n": "int64"},
            "timezone": "Asia/Seoul",
            "missing_columns": "null",
        },
        "derive": [{"as": "net", "expr": "price - fee"}],
        "where": "net > 0 and note != 'a''b'",
        "group_by": ["city"],
        "aggregates": [{"fn": "sum", "column": "net", "as": "net"}, {"fn": "count"}],
        "compute": [{"as": "mean", "expr": "net / count"}],
        "having": "count > 1",
        "semantics": "pandas",
        "output": {"name": "sales", "indexes": [["-net"]], "versions": 5, "expires": "7d"},
        "options": {"priority": 7, "on_bad_row": "quarantine", "max_bad_rows": 3, "chunk_bytes": 70_000,
                    "deadline": "1h"},
        "limits": {"max_groups": 10},
        "labels": {"team": "growth"},
    },
}  # fmt: skip


def stored(spec: dict) -> dict:
    return json.loads(canonical_json(parse_spec(json.dumps(spec).encode())))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_program_submits_the_same_spec(spec, monkeypatch):
    submitted = []

    class Result:
        def to_dicts(self, limit):
            return []

    class Client:
        def __init__(self, url):
            assert url == URL

        def submit(self, sources, **words):
            uris = [sources] if isinstance(sources, str) else sources
            submitted.append(job_spec(uris, words))
            return self

        def result(self):
            return Result()

    offered = ModuleType("gristmill")
    buckets = ("bucket", "hour", "day", "week", "month", "quarter", "year")
    vars(offered).update({name: getattr(gristmill, name) for name in buckets})
    offered.Client = Client
    monkeypatch.setitem(sys.modules, "gristmill", offered)
    program = equivalents.python(stored(spec), URL)
    exec(compile(program, "shown", "exec"), {})

    assert [stored(each) for each in submitted] == [stored(spec)]
    assert max(map(len, program.splitlines())) < 140


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_curl_sends_the_same_spec(spec):
    command = shlex.split(equivalents.curl(stored(spec), URL, key=False))
    assert command[:4] == ["curl", "-X", "POST", f"{URL}/v1/jobs"]
    assert stored(json.loads(command[-1])) == stored(spec)


def test_curl_names_the_key_only_where_one_is_needed():
    key = '-H "Authorization: Bearer $GRISTMILL_API_KEY"'
    assert key in equivalents.curl(stored(PLAIN), URL, key=True)
    assert key not in equivalents.curl(stored(PLAIN), URL, key=False)


def test_an_aggregate_without_a_name_keeps_its_form():
    program = equivalents.python(PLAIN, URL)
    assert 'aggs=[{"fn": "count"}]' in program
