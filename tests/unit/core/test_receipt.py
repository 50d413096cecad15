"""A receipt balances, or there is none."""

import pytest

from shared.core.receipt import check, receipt
from shared.errors import ReceiptMismatch

PLAN = {"format": "csv", "files": [{"uri": "file:///data/a.csv"}]}
UNBALANCED = {"read": 10, "aggregated": 9, "dropped": 0, "merged": 9}


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
    check({"read": read, "aggregated": aggregated, "dropped": dropped, "merged": merged}, PLAN, semantics)


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
        check({"read": read, "aggregated": aggregated, "dropped": dropped, "merged": merged}, PLAN, semantics)


def test_an_unbalanced_ledger_gets_no_receipt():
    with pytest.raises(ReceiptMismatch):
        receipt({"read": 1, "aggregated": 0, "dropped": 0, "merged": 0}, {}, {}, semantics="sql", software={})


def test_a_mismatch_names_what_can_be_the_cause_and_a_file_only_where_the_format_makes_claims():
    files = [{"uri": f"file:///data/{i}"} for i in range(9)]
    with pytest.raises(ReceiptMismatch) as caught:
        check(UNBALANCED, PLAN, "sql")
    assert (
        "Either partial results were changed or damaged in the database, or Gristmill has a bug"
        in caught.value.detail
    )
    assert "file:" not in caught.value.detail
    with pytest.raises(ReceiptMismatch) as caught:
        check(UNBALANCED, {"format": "parquet", "files": files}, "sql")
    assert (
        "Either a Parquet file claims more or fewer rows than it holds (file:///data/0, "
        in caught.value.detail
    )
    assert "and 4 more), or partial results" in caught.value.detail
    assert "10 rows were read, but 9 were aggregated" in caught.value.detail
