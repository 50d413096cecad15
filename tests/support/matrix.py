"""docs/fault-matrix.md: the tests that carry the number of a row, and the count of its faults in the soak.

A function carries a row when a comment `# fault matrix: 3, 17` stands above it. The functions of tests/soak
are kinds of fault; every other one is a test.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "fault-matrix.md"
ONLY_SOAK = "only the soak"
WITHOUT = "not tested here, because "
EVERY = "every fault"
"""The kind of fault of a function in tests/soak, but not in its `faults.py`: it injects them all."""
_CARRIED = re.compile(
    r"^[ \t]*# fault matrix: ([\d, ]+)$(?:\n(?![ \t]*(?:async )?def ).*)*\n[ \t]*(?:async )?def (\w+)",
    re.MULTILINE,
)
_ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
_CARRIERS = re.compile(r"^- Row (\d+)(?:: (.+))?\n((?:  - .+\n)*)", re.MULTILINE)


@dataclass
class Carriers:
    """The functions below a comment with the number of a row."""

    tests: set[str] = field(default_factory=set)
    """`test_file.py::test_name`."""
    faults: set[str] = field(default_factory=set)
    """The kinds of fault that the soak injects."""


def carried() -> dict[int, Carriers]:
    found: dict[int, Carriers] = defaultdict(Carriers)
    for path in TESTS.rglob("*.py"):
        for numbers, function in _CARRIED.findall(path.read_text()):
            for row in map(int, numbers.split(",")):
                if path.parent.name == "soak":
                    found[row].faults.add(function if path.stem == "faults" else EVERY)
                else:
                    found[row].tests.add(f"{path.name}::{function}")
    return found


def rows(page: str) -> list[int]:
    """The numbers of the table's rows."""
    return [int(number) for number, *_ in _ROW.findall(page)]


def notes(page: str) -> dict[int, str]:
    """By row: the text that stands in place of its tests; empty where tests are listed."""
    return {int(number): note for number, note, _ in _CARRIERS.findall(page)}


def rendered(page: str, injected: dict[str, int] | None = None) -> str:
    """The page with its tests brought up to date, and with the counts of *injected*, by kind of fault."""
    known = carried()

    def row(found: re.Match[str]) -> str:
        number, fault, outcome, count = found.groups()
        kinds = known[int(number)].faults
        if injected is not None:
            count = f"{sum(injected.get(kind, 0) for kind in kinds):,}" if kinds else "–"
        return f"| {number} | {fault} | {outcome} | {count} |"

    def carriers(found: re.Match[str]) -> str:
        number, note, _ = found.groups()
        carriers = known[int(number)]
        if carriers.tests:
            return f"- Row {number}\n" + "".join(f"  - `{test}`\n" for test in sorted(carriers.tests))
        return f"- Row {number}: {ONLY_SOAK if carriers.faults else note}\n"

    return _CARRIERS.sub(carriers, _ROW.sub(row, page))
