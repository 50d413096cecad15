"""Specs of version 1: their digests, and what was stored of them."""

import json

import pytest

from shared.spec.digests import canonical_json, earlier_digests, spec_digest
from shared.spec.models import JobSpec
from shared.spec.parse import parse_spec

BODIES = [
    (
        {"source": {"uris": ["file:///data/a.csv"]}, "group_by": ["k"], "aggregates": [{"fn": "count"}]},
        "sha256:847f959e0bbe10c17fc3e7830adc85f0283110da817135a78dbb47811cf9a0c9",
    ),
    (
        {
            "source": {
                "uris": ["upload:upl_1", "file:///data/b*.csv.gz"],
                "csv": {
                    "delimiter": ";",
                    "quote": None,
                    "escape": "\\",
                    "header": False,
                    "names": ["a", "b"],
                    "encoding": "latin-1",
                    "null_values": ["NA"],
                    "comment": "#",
                },
                "types": {"a": "decimal(18, 2)", "b": "timestamptz"},
                "timezone": "Asia/Seoul",
                "compression": "gzip",
                "format": "csv",
            },
            "group_by": ["b"],
            "aggregates": [
                {"fn": "sum", "column": "a", "as": "s"},
                {"fn": "quantile", "column": "a", "q": [0.5, 0.9]},
                {"fn": "arg_max", "column": "b", "by": "a"},
                {"fn": "top", "column": "a", "k": 3},
                {"fn": "var", "column": "a", "ddof": 0},
            ],
            "semantics": "pandas",
            "output": {"name": "n", "indexes": [["-s", "b"]], "versions": 5},
            "options": {"priority": 7, "chunk_bytes": 1000, "deadline": "2h"},
            "limits": {"max_groups": 5, "max_bytes": 7, "max_chunks": 9, "max_state_bytes": 11},
            "labels": {"team": "x"},
        },
        "sha256:b5472e58194cab5344d0d7a4dc61c729b10773b7927777fe5c4ff3b2de4c9528",
    ),
    (
        {
            "source": {"uris": ["file:///data/p.parquet"], "format": "parquet"},
            "group_by": [],
            "aggregates": [{"fn": "corr", "x": "a", "y": "b"}],
        },
        "sha256:e2ae2caeb1476089cd5d9e3e09fdcf6aa13a42505187b66dc19259f94df44329",
    ),
    (
        {
            "source": {"uris": ["file:///data/a.csv"], "csv": {"delimiter": ","}},
            "group_by": ["k"],
            "aggregates": [{"fn": "count"}],
        },
        "sha256:847f959e0bbe10c17fc3e7830adc85f0283110da817135a78dbb47811cf9a0c9",
    ),
]
"""Bodies, and the digests that version 1 gave them."""
STORED = (
    '{"aggregates":[{"as":"corr_b_a","fn":"corr","x":"a","y":"b"}],"compute":[],"derive":[],"gr'
    'oup_by":[],"having":null,"labels":{},"limits":{"max_bytes":null,"max_chunks":100000,"max_g'
    'roups":5000000,"max_state_bytes":8589934592},"options":{"chunk_bytes":null,"deadline":null'
    ',"max_bad_rows":null,"max_parallel_chunks":null,"on_bad_row":"fail","priority":5},"output"'
    ':{"expires":null,"indexes":[],"name":null,"on_schema_change":"fail","versions":3},"semanti'
    'cs":"sql","source":{"compression":"auto","csv":{"comment":null,"delimiter":",","encoding":'
    '"utf-8","escape":null,"header":true,"names":null,"null_values":[],"quote":"\\""},"format":"'
    'parquet","timezone":"UTC","types":{},"uris":["file:///data/p.parquet"]},"where":null}'
)
"""What version 1 stored of the third."""


def digest_of(spec):
    return spec_digest(canonical_json(spec))


@pytest.mark.parametrize(("body", "digest"), BODIES)
def test_a_body_of_version_1_has_the_digest_that_it_had_or_names_it_as_an_earlier_one(body, digest):
    spec = parse_spec(json.dumps(body).encode())
    says_delimiter = "delimiter" in body["source"].get("csv", {})
    assert (digest_of(spec) == digest) is says_delimiter
    assert digest in {digest_of(spec), *earlier_digests(canonical_json(spec))}


def test_a_stored_spec_of_version_1_reads_as_it_was_checked():
    spec = JobSpec.model_validate_json(STORED)
    assert spec.source.csv.delimiter == ","
    assert canonical_json(spec) == STORED
    assert earlier_digests(canonical_json(spec)) == ()


def test_a_spec_that_uses_a_key_of_version_2_has_no_digest_of_version_1():
    body = BODIES[0][0] | {"source": {"uris": ["file:///data/a.csv"], "missing_columns": "null"}}
    spec = parse_spec(json.dumps(body).encode())
    assert BODIES[0][1] not in {digest_of(spec), *earlier_digests(canonical_json(spec))}
