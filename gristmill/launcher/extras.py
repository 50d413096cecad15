"""The extras of the package `gristmill`: packages that some commands need."""

import re
from importlib.metadata import PackageNotFoundError, distribution, requires
from importlib.util import find_spec
from pathlib import Path

from gristmill.launcher.processes import LauncherError

_REQUIREMENT = re.compile(r"([\w.-]+)[^;]*; extra == '(\w+)'")
"""The name and the extra; no match where Python's version or the platform decides as well."""


def need(extra: str) -> None:
    """Raises LauncherError with the command that installs *extra*, if packages of it are missing."""
    if absent := missing(extra):
        raise LauncherError(_advice(absent, extra))


def missing(extra: str) -> list[str]:
    """The packages of *extra* that are not installed; their versions are not compared."""
    try:
        found = [_REQUIREMENT.fullmatch(requirement) for requirement in requires("gristmill") or ()]
    except PackageNotFoundError:  # it runs from its source
        return []
    return [match[1] for match in found if match and match[2] == extra and not _installed(match[1])]


def package_folder(package: str, extra: str) -> Path:
    """The folder of a package, which is not imported; raises LauncherError if it is not installed."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LauncherError(_advice([package], extra))
    return Path(spec.submodule_search_locations[0])


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _advice(absent: list[str], extra: str) -> str:
    others = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
    return f"Packages that this needs are missing, {absent[0]}{others}: pip install 'gristmill[{extra}]'"
