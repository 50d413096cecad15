"""Each row of the fault matrix in docs/reliability.md names its tests, or says why there are none."""

from tests.support.matrix import ONLY_SOAK, PAGE, WITHOUT, carried, rendered, rows

ROWS = range(1, 59)
FOUND = rows(PAGE.read_text())


def test_the_matrix_has_every_row_and_no_test_carries_another():
    assert sorted(FOUND) == list(ROWS)
    assert set(carried()) <= set(ROWS)


def test_the_rows_name_the_tests_that_carry_their_numbers():
    assert rendered(PAGE.read_text()) == PAGE.read_text(), "run python -m tests.soak.publish"


def test_a_row_without_a_test_says_why():
    assert not [row for row, (tests, _) in FOUND.items() if not tests.startswith(("`", ONLY_SOAK, WITHOUT))]
