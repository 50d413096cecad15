"""docs/operations.md lists every check of `doctor`, and its numbers are those of the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from api_service.app import PAGES
from api_service.doctor.checks import CHECKS
from shared.core import connections
from shared.errors import GristmillError, Interruption, subclasses

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()

MET = {
    cls.code: cls for cls in subclasses() if not issubclass(cls, Interruption) and cls is not GristmillError
}


def first_cells(heading: str) -> list[str]:
    """The code spans in the first cells of the table below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_every_error_code_has_its_next_step():
    at_night = first_cells("At 2 a.m.")
    assert sorted(at_night) == sorted(MET)


def test_every_error_of_the_service_is_in_its_first_table():
    first = re.findall(
        r"^\| `(\w+)` \|", PAGE.partition("\n### The service\n")[2].partition("\n### ")[0], re.MULTILINE
    )
    assert {code for code, cls in MET.items() if cls.category == "system"} <= set(first)


def test_every_link_within_the_page_has_its_heading():
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def test_every_check_of_doctor_is_documented_and_no_other():
    assert sorted(first_cells("Find the fault")) == sorted(CHECKS)


def test_the_numbers_of_connections_are_those_of_the_pools():
    told = f"{connections.GATEWAY}: {connections.ANSWERS} for answers, {connections.STREAMS} for rows"
    each = connections.of_worker(2) - connections.of_worker(1)
    assert told in PAGE
    assert f"| {each} for each slot, and {connections.of_worker(0)} |" in PAGE
    example = 2 * connections.GATEWAY + 8 * connections.of_worker(4) + connections.OPERATOR
    assert f"Two gateways and eight workers of four slots need {example}." in PAGE


def sizes(source: str) -> Iterator[str]:
    """The size of each pool that a service makes, as it is written."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="connect"), keywords=keywords):
                yield next((ast.unparse(each.value) for each in keywords if each.arg == "size"), "none")


def test_the_formula_has_every_pool_of_a_gateway_and_of_a_worker():
    gateway = list(sizes((ROOT / "api_service/app.py").read_text()))
    assert sorted(gateway) == ["ANSWERS", "HEALTH", "PAGES"]
    assert PAGES == connections.STREAMS
    modules = [*(ROOT / "worker_service").rglob("*.py"), *(ROOT / "api_service/services").rglob("*.py")]
    others = [size for module in modules for size in sizes(module.read_text())]
    assert sorted(others) == ["HEARTBEAT", "of_work(settings.slots)"]
