"""The table of fault points and the code agree, and nothing else can be asked for."""

import re
from collections import Counter
from pathlib import Path

import pytest

from shared.fault_points import POINTS, armed

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "api_service", "worker_service")


def test_every_point_is_passed_at_one_place_and_has_a_line_in_the_table():
    sources = [path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    passed = Counter(
        name
        for source in sources
        for name in re.findall(r"\breached\((.*?)\)", source)
        if name != "name: str"
    )

    assert passed == dict.fromkeys((f'"{name}"' for name in POINTS), 1)


def test_points_are_armed_by_name_passing_and_action():
    assert armed("commit.fenced:2:kill,commit.fenced:3:raise,ring.between:1:stop") == {
        "commit.fenced": {2: "kill", 3: "raise"},
        "ring.between": {1: "stop"},
    }
    assert armed("") == {}


@pytest.mark.parametrize(
    "entry",
    ["comit.fenced:1:kill", "commit.fenced:1:explode", "commit.fenced:0:kill", "commit.fenced:kill", "kill"],
)
def test_what_does_not_exist_cannot_be_armed(entry):
    with pytest.raises(ValueError):
        armed(entry)
