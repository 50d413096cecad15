"""docs/aggregates.md agrees with the table of functions."""

from pathlib import Path

from shared.spec.functions import FUNCTIONS
from worker_service.kernels.page import page

PAGE = (Path(__file__).parents[2] / "docs" / "aggregates.md").read_text(encoding="utf-8")


def test_the_page_is_the_one_that_the_table_makes():
    assert page() == PAGE, "run: python -m worker_service.kernels.page > docs/aggregates.md"


def test_every_function_has_a_section():
    assert [
        line[3:] for line in PAGE.splitlines() if line.startswith("## ") and line[3:] in FUNCTIONS
    ] == list(FUNCTIONS)
