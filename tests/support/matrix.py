"""The fault matrix of docs/reliability.md: which tests carry the number of a row, and how often the soak injected its faults."""

import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"
SOAK = {"faults.py", "injector.py"}
WITHOUT = "Not here: "
ONLY_SOAK = "the soak"
_CARRIED = re.compile(
    r"^[ \t]*# fault matrix: ([\d, ]+)$(?:\n(?![ \t]*(?:async )?def ).*)*\n[ \t]*(?:async )?def (\w+)",
    re.MULTILINE,
)
_ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+) \| (.+) \|$", re.MULTILINE)


def carried() -> dict[int, set[tuple[str, str]]]:
    """By row: (file name, function name) of the functions below a comment `fault matrix:` with its number."""
    found: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for path in TESTS.rglob("*.py"):
        for numbers, function in _CARRIED.findall(path.read_text()):
            for number in numbers.split(","):
                found[int(number)].add((path.name, function))
    return found


def rows(page: str) -> dict[int, tuple[str, str]]:
    """The last two cells of each row: the tests, and the count of the soak."""
    return {int(number): (tests, soak) for number, _, _, tests, soak in _ROW.findall(page)}


def rendered(page: str, injected: dict[str, int] | None = None) -> str:
    """The page with its table brought up to date: always the tests, and the counts if there are new ones."""
    known = carried()

    def row(found: re.Match[str]) -> str:
        number, fault, expected, tests, soak = found.groups()
        functions = known[int(number)]
        kinds = [function for file, function in functions if file in SOAK]
        named = ", ".join(sorted(f"`{file}::{function}`" for file, function in functions if file not in SOAK))
        tests = named or (ONLY_SOAK if kinds else tests)
        if injected is not None:
            soak = f"{sum(injected.get(kind, 0) for kind in kinds):,}" if kinds else "–"
        return f"| {number} | {fault} | {expected} | {tests} | {soak} |"

    return _ROW.sub(row, page)
