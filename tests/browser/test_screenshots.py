"""`make screenshots` makes a small picture of every page, and docs have the same ones."""

import re
import subprocess
import sys

import pytest
from PIL import Image

from tests.screenshots.__main__ import IMAGES, MOST_BYTES

pytestmark = pytest.mark.full

ROOT = IMAGES.parents[1]


@pytest.mark.timeout(300)
def test_every_picture_is_made_anew(browser, tmp_path):
    command = [sys.executable, "-m", "tests.screenshots", tmp_path]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in IMAGES.glob("dashboard-*.png")}
    for path in tmp_path.iterdir():
        assert path.stat().st_size <= MOST_BYTES
        with Image.open(path) as picture:
            assert len(picture.getcolors(256)) > 10, path.name


def test_the_readme_shows_pictures_that_are_there():
    shown = re.findall(r"docs/images/(dashboard-[a-z-]+\.png)", (ROOT / "README.md").read_text())
    assert len(shown) == 2
    assert all((IMAGES / name).exists() for name in shown)
