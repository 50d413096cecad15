"""docs/operations.md lists every check of `doctor`, and its numbers are those of the code."""

import re
from pathlib import Path

from api_service.doctor.checks import CHECKS
from shared.core import connections

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def first_cells(heading: str) -> list[str]:
    """The code spans in the first cells of the table below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_every_check_of_doctor_is_documented_and_no_other():
    assert sorted(first_cells("Find the fault")) == sorted(CHECKS)


def test_the_numbers_of_connections_are_those_of_the_pools():
    told = f"{connections.GATEWAY}: {connections.ANSWERS} for answers, {connections.STREAMS} for rows"
    each = connections.of_worker(2) - connections.of_worker(1)
    assert told in PAGE
    assert f"| {each} for each slot, and {connections.of_worker(0)} |" in PAGE
    example = 2 * connections.GATEWAY + 8 * connections.of_worker(4) + connections.OPERATOR
    assert f"Two gateways and eight workers of four slots need {example}." in PAGE
