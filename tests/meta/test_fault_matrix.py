"""Each row of docs/fault-matrix.md names the tests that carry its number, or the reason why there is none."""

from tests.support.matrix import ONLY_SOAK, PAGE, WITHOUT, carried, notes, rendered, rows

ROWS = list(range(1, 62))
TEXT = PAGE.read_text()


def test_the_matrix_has_every_row_and_no_test_carries_another():
    assert rows(TEXT) == ROWS
    assert list(notes(TEXT)) == ROWS
    assert set(carried()) <= set(ROWS)


def test_the_rows_name_the_tests_that_carry_their_numbers():
    assert rendered(TEXT) == TEXT, "run python -m tests.soak.publish"


def test_a_row_without_a_test_says_why():
    known = carried()
    without = {row: note for row, note in notes(TEXT).items() if not known[row].tests}

    assert not [row for row, note in without.items() if not note.startswith((ONLY_SOAK, WITHOUT))]
    assert [row for row, note in without.items() if note == ONLY_SOAK] == [55]


def test_new_counts_are_the_sums_of_a_rows_faults():
    page = "| 28 | Postgres dies | it comes back | 3 |\n| 24 | out of memory | tried again | 7 |\n"

    assert rendered(page, {"kill_postgres": 1200, "kill_backend": 34}) == (
        "| 28 | Postgres dies | it comes back | 1,234 |\n| 24 | out of memory | tried again | – |\n"
    )
