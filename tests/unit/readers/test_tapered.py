"""Chunks that grow smaller towards the end of the data: the same records, in the same order."""

import csv
import io
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.child_tasks import plan_task
from tests.support.datasets import opened, read, source, stored
from worker_service.child import tasks
from worker_service.readers import plan

ROWS = [(f"k{no % 7}", str(no)) for no in range(4000)]
LINES = "k,v\n" + "".join(f"{k},{v}\n" for k, v in ROWS)


def parquet(rows_in_group):
    out = io.BytesIO()
    columns = {"k": [k for k, _ in ROWS], "v": [int(v) for _, v in ROWS]}
    pq.write_table(pa.table(columns), out, row_group_size=rows_in_group)
    return out.getvalue()


def sizes(planned):
    return [sum(extent.end - extent.start for extent in extents) for extents in planned.extents]


def rows(files, planned):
    return [
        (k, str(v))
        for extents in planned.extents
        for extent in extents
        for table in read(files[extent.file], extent, planned.source, planned.schema, ["k", "v"], 1 << 16)
        for k, v in zip(*(table.column(name).to_pylist() for name in ("k", "v")), strict=True)
    ]


@pytest.mark.parametrize("guess", [False, True])
def test_the_last_chunks_are_smaller_and_hold_the_same_records(monkeypatch, guess):
    monkeypatch.setattr("worker_service.readers.csv.cuts.GUESS_BYTES", 100)
    monkeypatch.setattr("worker_service.readers.csv.cuts.SAMPLE_BYTES", 100)
    with opened(LINES.encode()) as files:
        planned = plan(files, source(), 4096, guess=guess, tapered=True)
        assert rows(files, planned) == [tuple(row) for row in csv.reader(LINES.splitlines()[1:])]
    found = sizes(planned)
    assert found[0] >= 3 * 1024
    assert max(found) <= 4096 * 17 // 16
    assert max(found[-4:]) < 4096 // 4 + 20
    assert all(after <= before + 40 for before, after in pairwise(found))
    assert all(len(extents) == 1 for extents in planned.extents), "neighbours are one extent"
    assert {extent.guesses is not None for [extent] in planned.extents} == {guess}


def test_guesses_of_joined_extents_are_those_of_all(monkeypatch):
    monkeypatch.setattr("worker_service.readers.csv.cuts.GUESS_BYTES", 100)
    monkeypatch.setattr("worker_service.readers.csv.cuts.SAMPLE_BYTES", 100)
    with opened(LINES.encode()) as files:
        parts = plan(files, source(), 1024, guess=True)
        whole = plan(files, source(), 4096, guess=True, tapered=True)
    guesses = [guess for [extent] in parts.extents for guess in extent.guesses]
    assert [guess for [extent] in whole.extents for guess in extent.guesses] == guesses


def test_row_groups_keep_their_counts():
    data = parquet(100)
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).total_byte_size
    with opened(data) as files:
        planned = plan(files, source(), group * 8, tapered=True)
        assert rows(files, planned) == ROWS
    counted = [sum(extent.rows for extent in extents) for extents in planned.extents]
    assert sum(counted) == len(ROWS)
    assert counted[0] >= 600
    assert counted[-1] <= 200


def test_a_task_with_a_size_of_chunks_is_cut_to_it_and_one_without_tapers(monkeypatch):
    monkeypatch.setattr(tasks, "chunk_bytes", lambda _: 4096)
    spec = {"source": {"uris": ["file:///x"]}, "group_by": ["k"], "aggregates": [{"fn": "count"}]}
    with stored(LINES.encode()) as path:
        for asked, most in ((4096, 4096), (None, 1100)):
            result, _ = tasks.run(plan_task(spec, path, chunk_bytes=asked))
            last = [chunk.bytes for chunk in result.chunks()][-3]
            assert (last > 1100) == (most > 1100)
