"""The programs of the server, and the path on which Python finds them.

An installed wheel has their packages below `gristmill/_server`. That folder is on the path of these programs
only, so it hides no package `shared` of the user's own. A clone has the packages at its top.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[1] / "_server"


def service_command(module: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *words)


def service_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """*inherited*, with the packages of the server first on the path and without the current folder."""
    folders = [str(PACKAGES)] if PACKAGES.is_dir() else []
    path = os.pathsep.join(filter(None, [*folders, inherited.get("PYTHONPATH")]))
    return {**inherited, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
