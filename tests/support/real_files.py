"""Files of the world for tests: those of PyPI come with the extra dev, others by `make test-data`.

`python -m tests.support.real_files` fetches the others into `.test-data`, from npm and from Debian. It says
what cannot be had, and tests that need it are skipped with the reason.
"""

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / ".test-data"
NPM = ("csv-spectrum@2.0.0", "vega-datasets@3.2.1")
DEBIAN = ("unicode-data",)


def packaged(package: str, *path: str) -> Path:
    """A file inside an installed package, which is not imported."""
    found = find_spec(package)
    assert found is not None, f"{package} is not installed; it comes with the extra dev"
    assert found.origin is not None
    return Path(found.origin).parent.joinpath(*path)


def fetched(package: str, *path: str) -> Path:
    """A file that `make test-data` has fetched; skips the test where it could not."""
    found = FOLDER.joinpath(package, *path)
    if not found.exists():
        pytest.skip(f"{package} was not fetched: run make test-data")
    return found


def _from_npm(package: str) -> None:
    name = package.partition("@")[0]
    if (FOLDER / name).exists():
        return
    said = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=FOLDER, check=True, capture_output=True, text=True
    )
    archive = FOLDER / said.stdout.split()[-1]
    with tarfile.open(archive) as packed:
        packed.extractall(FOLDER / f"{name}.partial", filter="data")
    archive.unlink()
    (FOLDER / f"{name}.partial" / "package").rename(FOLDER / name)
    (FOLDER / f"{name}.partial").rmdir()


def _from_debian(package: str) -> None:
    if (FOLDER / package).exists():
        return
    subprocess.run(["apt-get", "download", package], cwd=FOLDER, check=True, capture_output=True)
    [archive] = FOLDER.glob(f"{package}_*.deb")
    subprocess.run(["dpkg", "-x", archive.name, f"{package}.partial"], cwd=FOLDER, check=True)
    archive.unlink()
    (FOLDER / f"{package}.partial").rename(FOLDER / package)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    sources: list[tuple[str, Callable[[str], None], tuple[str, ...]]] = [
        ("npm", _from_npm, NPM),
        ("apt-get", _from_debian, DEBIAN),
    ]
    for program, fetch, packages in sources:
        for package in packages:
            try:
                fetch(package)
            except (OSError, subprocess.CalledProcessError) as error:
                there = shutil.which(program)
                reason = f"{program} gives no {package}: {error}" if there else f"there is no {program}"
                sys.stderr.write(f"{reason}; the tests that need {package} are skipped\n")


if __name__ == "__main__":
    main()
