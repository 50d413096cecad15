"""Wheels and source distributions made from the tree, and fresh environments to install them in."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
PINS = ROOT / "constraints.txt"


def copy_tree(target: Path) -> Path:
    """What packages are made of, in a folder of its own: a build makes the libraries of its tree anew."""
    target.mkdir()
    parts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    for name in ("pyproject.toml", ".gitignore", *parts["sdist"]["include"]):
        part = ROOT / name.removeprefix("/")
        if part.is_dir():
            shutil.copytree(part, target / part.name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy(part, target)
    return target


def wheel_of(source: Path, target: Path, **env: str) -> Path:
    """The wheel that pip makes of a tree or of a source distribution."""
    command = [*PIP, "wheel", "--no-deps", "-w", str(target), str(source)]
    subprocess.run(command, check=True, env=os.environ | env)
    [wheel] = target.glob("*.whl")
    return wheel


def sdist_of(tree: Path, target: Path) -> Path:
    """The source distribution of a tree."""
    builder = target / "builder"
    subprocess.run([*PIP, "install", "--target", str(builder), "hatchling"], check=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(target)]
    known = os.environ | {"PYTHONPATH": str(builder)}
    subprocess.run(command, check=True, cwd=tree, env=known, capture_output=True)
    [made] = target.glob("*.tar.gz")
    return made


def contents(wheel: Path) -> dict[str, bytes]:
    """Path of each file in it -> its bytes."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def requirements(wheel: Path, extra: str = "") -> set[str]:
    """The names that installing it with *extra*, or without any, asks for on this machine."""
    [metadata] = [text for name, text in contents(wheel).items() if name.endswith(".dist-info/METADATA")]
    asked = map(Requirement, HeaderParser().parsestr(metadata.decode()).get_all("Requires-Dist"))
    wanted = [each for each in asked if each.marker is None or each.marker.evaluate({"extra": extra})]
    return {canonicalize_name(each.name) for each in wanted}


def environment(folder: Path, wheel: Path, extra: str = "") -> Path:
    """The folder of the programs of a fresh environment with the wheel, at the versions of the pins."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    bare = f"{wheel}[{extra}]" if extra else str(wheel)
    into = ("--python", str(folder / "bin" / "python"))
    subprocess.run([*PIP, *into, "install", "--only-binary", ":all:", "-c", str(PINS), bare], check=True)
    return folder / "bin"
