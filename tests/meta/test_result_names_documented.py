"""Each page publishes results of its own names.

The commands of all pages run on one service, where two results of one name would be mixed up.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# `"output": {"name": "sales"}` of a spec, `name="sales"` of the SDK, `--name sales` of the command line.
_PUBLISHED = re.compile(r'"output": ?\{"name": ?"(\w+)"|\bname="(\w+)",?\n|--name ([a-z]\w*)')
# The programs of these two pages are one web application in two frameworks, run on a service each.
_FRAMEWORKS = {"fastapi.md", "flask.md"}


def published(page: str) -> set[str]:
    return {name for names in _PUBLISHED.findall(page) for name in names if name}


def test_no_two_pages_publish_under_one_name():
    owners: dict[str, str] = {}
    shared = []
    for page in PAGES:
        owner = "frameworks" if page.name in _FRAMEWORKS else page.name
        for name in published(page.read_text()):
            if owners.setdefault(name, owner) != owner:
                shared.append(f"{name}: {owners[name]} and {page.name}")

    assert owners
    assert not shared


def test_a_name_is_found_in_a_spec_in_the_sdk_and_on_the_command_line():
    page = '"output": {"name": "a"}}\n    name="b",\n)\ngristmill aggregate x.csv --name c'

    assert published(page) == {"a", "b", "c"}
