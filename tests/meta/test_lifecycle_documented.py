"""The diagrams of docs/reliability.md are drawn from the tables that the SQL obeys."""

import re
from pathlib import Path

from shared.core.lifecycle import JOB, UNIT, diagram

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()


def test_the_diagrams_are_the_tables():
    drawn = re.findall(r"```mermaid\n(stateDiagram.*?)\n```", PAGE, re.DOTALL)

    assert drawn == [diagram("job", JOB), diagram("unit", UNIT)]


def test_a_diagram_has_one_arrow_between_two_states():
    lines = diagram("job", JOB).splitlines()

    assert lines[:4] == [
        "stateDiagram-v2",
        "    direction LR",
        "    state job {",
        "        [*] --> queued: submit",
    ]
    assert lines.count("        running --> cancelling: cancel; deadline passed; a unit failed") == 1
