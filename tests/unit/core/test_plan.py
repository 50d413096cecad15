"""What is stored about a job reads what workers of the version before have stored."""

import msgspec
import pytest

from shared.core.lifecycle import UnitKind
from shared.core.plan import (
    ChunkPayload,
    Extent,
    Guess,
    MergePayload,
    Plan,
    PlanPayload,
    PublishPayload,
    Warned,
    chunk_bytes,
    payload_of,
    with_delimiter,
)
from shared.core.warnings import sorted_warnings
from shared.spec.source import CsvOptions, SourceSpec

STORED = [
    (
        "chunk",
        '{"extents":[[0,5,10,null,[[8,9]]],[1,0,3,7,null]],"guessed":true}',
        ChunkPayload((Extent(0, 5, 10, None, (Guess(8, 9),)), Extent(1, 0, 3, 7)), guessed=True),
    ),
    ("plan", "{}", PlanPayload()),
    ("plan", '{"prove":true}', PlanPayload(prove=True)),
    ("merge", '{"first":0,"end":512}', MergePayload(0, 512)),
    ("merge", '{"first":0,"end":512,"long":true}', MergePayload(0, 512, long=True)),
    ("publish", "{}", PublishPayload()),
]


@pytest.mark.parametrize(("kind", "text", "payload"), STORED)
def test_a_payload_is_stored_as_workers_of_the_version_before_read_and_write_it(kind, text, payload):
    assert payload_of(UnitKind(kind), msgspec.json.decode(text)) == payload
    assert msgspec.json.encode(payload).decode() == text


def test_a_plan_from_before_lacks_what_came_later():
    file = {"uri": "file:///data/a", "root": "/data", "below": "a", "size": 1, "mtime_ns": 2}
    stored = {"files": [file], "format": "csv", "schema": [{"name": "k", "type": "string", "declared": True}]}

    plan = msgspec.convert(stored | {"bytes": 1}, Plan)

    assert (plan.files[0].inode, plan.files[0].ctime_ns, plan.warnings) == (None, None, ())
    assert (plan.schema[0].name, plan.schema[0].declared) == ("k", True)


def test_a_delimiter_that_the_plan_settled_is_read_and_a_plan_of_before_leaves_the_specs():
    stored = SourceSpec(uris=("file:///data/a.csv",), csv=CsvOptions(delimiter=","))
    found = SourceSpec(uris=("file:///data/a.csv",))
    assert with_delimiter(stored, None) is stored
    assert with_delimiter(found, ";").csv.delimiter == ";"
    assert with_delimiter(found, ";").csv.header is True


def test_warnings_are_sorted_each_once_and_at_most_a_hundred():
    many = [Warned("b", str(no % 150)) for no in range(300)] + [Warned("a", "z", "column")]
    kept = sorted_warnings(many)
    assert (len(kept), kept[0]) == (100, Warned("a", "z", "column"))
    assert kept == sorted_warnings(reversed(many))


@pytest.mark.parametrize(
    ("data", "chunk"),
    [(0, 64 << 20), (1 << 30, 64 << 20), (2 << 30, 128 << 20), (4 << 30, 256 << 20), (1 << 40, 256 << 20)],
)
def test_a_chunk_is_a_16th_of_the_data_within_bounds(data, chunk):
    assert chunk_bytes(data) == chunk
