"""A receipt balances, or there is none."""

from datetime import UTC, datetime

import pytest

from shared.core.entities import NewVersion
from shared.core.plan import DatasetFile, Plan
from shared.core.receipt import Ledger, check, receipt
from shared.core.row_counts import RowCounts
from shared.errors import ReceiptMismatch


def plan(file_format, *uris):
    files = (DatasetFile(uri=uri, root="/data", below="a", size=1, mtime_ns=0) for uri in uris)
    return Plan(
        files=tuple(files), format=file_format, schema=(), bytes=1, self_describing=file_format != "csv"
    )


def counts(read, aggregated, dropped):
    return RowCounts(read=read, aggregated=aggregated, dropped_null_key=dropped)


PLAN = plan("csv", "file:///data/a.csv")
UNBALANCED = counts(10, 9, 0)
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = ("created_at", "started_at", "planned_at", "scanned_at", "merged_at", "finished_at")
SUMS = ("epoch", "chunks", "groups", "attempts", "deaths", "crashes", "errors", "ooms")
VERSION = NewVersion(name="n", version=1, rows=2, digest="sha256:0", columns=[], key_columns=0)


def ledger(rows, merged):
    sums = dict.fromkeys(SUMS, 1) | dict.fromkeys(TIMES, MOMENT)
    return Ledger(id="job_1", spec_digest="sha256:1", rows=rows, merged=merged, **sums)


@pytest.mark.parametrize(
    ("read", "aggregated", "dropped", "merged", "semantics"),
    [
        (10, 10, 0, 10, "sql"),
        (10, 10, 0, 10, "pandas"),
        (10, 7, 3, 7, "pandas"),
        (0, 0, 0, 0, "sql"),
        (3, 0, 3, 0, "pandas"),
    ],
)
def test_rows_that_add_up_are_accepted(read, aggregated, dropped, merged, semantics):
    check(counts(read, aggregated, dropped), merged, PLAN, semantics)


@pytest.mark.parametrize(
    ("read", "aggregated", "dropped", "merged", "semantics", "words"),
    [
        (10, 9, 0, 9, "sql", "10 rows were read, but 9 were aggregated"),
        (10, 11, 0, 11, "pandas", "11 were aggregated"),
        (10, 10, 1, 10, "pandas", "1 dropped"),
        (10, 10, 0, 9, "sql", "9 went into the result"),
        (10, 10, 0, 20, "pandas", "20 went into the result"),
        (1000, 7, 993, 7, "sql", "993 rows were dropped"),
    ],
)
def test_rows_that_do_not_add_up_are_refused_with_the_counts(
    read, aggregated, dropped, merged, semantics, words
):
    with pytest.raises(ReceiptMismatch, match=words):
        check(counts(read, aggregated, dropped), merged, PLAN, semantics)


def test_a_mismatch_names_the_rows_that_were_filtered_or_set_aside():
    rows = RowCounts(read=1000, aggregated=900, filtered=50, quarantined=3)
    with pytest.raises(
        ReceiptMismatch, match="900 were aggregated, 50 filtered, 3 quarantined and 0 dropped"
    ):
        check(rows, 900, PLAN, "sql")


def test_an_unbalanced_ledger_gets_no_receipt():
    with pytest.raises(ReceiptMismatch):
        receipt(ledger(counts(1, 0, 0), 0), PLAN, VERSION, semantics="sql", software={})


def test_a_receipt_says_where_every_row_went_and_of_a_file_the_fingerprint_that_is_known():
    rows = RowCounts(read=9, aggregated=4, dropped_null_key=5)
    found = receipt(ledger(rows, 4), PLAN, VERSION, semantics="pandas", software={"gristmill": "0"})

    assert found["rows"] == {
        "read": 9,
        "aggregated": 4,
        "filtered": 0,
        "dropped_null_key": 5,
        "quarantined": 0,
        "skipped": 0,
    }
    assert found["files"] == [{"uri": "file:///data/a.csv", "bytes": 1, "fingerprint": {"mtime_ns": 0}}]
    assert found["result"] == {"name": "n", "version": 1, "rows": 2, "digest": "sha256:0"}
    assert found["attempts"] == {"total": 1, "deaths": 1, "crashes": 1, "errors": 1, "ooms": 1}


def test_a_mismatch_names_what_can_be_the_cause_and_a_file_only_where_the_format_makes_claims():
    parquet = plan("parquet", *(f"file:///data/{i}" for i in range(9)))
    with pytest.raises(ReceiptMismatch) as caught:
        check(UNBALANCED, 9, PLAN, "sql")
    assert (
        "Either partial results were changed or damaged in the database, or Gristmill has a bug"
        in caught.value.detail
    )
    assert "file:" not in caught.value.detail
    with pytest.raises(ReceiptMismatch) as caught:
        check(UNBALANCED, 9, parquet, "sql")
    assert (
        "Either a Parquet file claims more or fewer rows than it holds (file:///data/0, "
        in caught.value.detail
    )
    assert "and 4 more), or partial results" in caught.value.detail
    assert "10 rows were read, but 9 were aggregated" in caught.value.detail
