"""The verbs of the Makefile that a newcomer meets first."""

import shutil
import subprocess

from tests.support.launched import ROOT

HALF_A_VENV = (
    '#!/bin/sh\ncase "$1" in -c) exit 0;; esac\nmkdir -p .venv/bin && touch .venv/bin/python\nexit 1\n'
)
TOO_OLD = "#!/bin/sh\nexit 1\n"


def made(folder, python):
    """The output of make for a new environment where the only Python is the script *python*."""
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "python").write_text(python)
    (folder / "python").chmod(0o700)
    return subprocess.run(
        ["make", ".venv/bin/python", f"PYTHON={folder}/python"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_environment_that_could_not_be_made_is_not_taken_for_one(tmp_path):
    assert made(tmp_path, HALF_A_VENV).returncode != 0
    assert not (tmp_path / ".venv/bin/python").exists()


def test_a_python_of_another_version_is_named(tmp_path):
    answer = made(tmp_path, TOO_OLD)
    assert answer.returncode != 0
    assert f"needs Python 3.11, 3.12 or 3.13, and found {tmp_path}/python" in answer.stdout
