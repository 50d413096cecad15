"""The import rules of pyproject.toml hold."""

import subprocess
import sys
from pathlib import Path


def test_the_import_contracts_hold():
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stdout
