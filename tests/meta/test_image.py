"""The Dockerfile removes no package that the services need."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def needed() -> set[str]:
    """The packages of the extra `server`, and all that these need, by the metadata of the installed ones."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked, found = [*project["dependencies"], *project["optional-dependencies"]["server"]], set()
    while asked:
        requirement = Requirement(asked.pop())
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if name in found or name == "gristmill" or not wanted:
            continue
        found.add(name)
        asked += metadata.requires(name) or []
    return found


def test_the_image_keeps_what_its_services_need():
    [removed] = re.findall(r"pip uninstall -y ([^\\]*)", (ROOT / "Dockerfile").read_text())
    names = {canonicalize_name(name) for name in removed.split()}

    assert {"hatchling", "ziglang"} <= names
    assert not names & needed()
