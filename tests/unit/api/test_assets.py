"""The files that pages load: those of others as they were published, and all of them small."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from api_service.dashboard.assets import ASSETS
from gristmill.client.uploads import LOST

FOLDER = Path(__file__).parents[3] / "api_service" / "assets"
MANIFESTS = sorted(FOLDER.glob("*/manifest.json"))
DASHBOARD_BYTES = 150 * 1024


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.parent.name)
def test_vendored_files_are_those_of_their_manifest(manifest: Path):
    told = json.loads(manifest.read_text())
    assert {"package", "version", "license", "files"} <= set(told)
    found = {
        file.name: f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
        for file in manifest.parent.iterdir()
        if file.suffix in {".js", ".css"}
    }
    assert found == told["files"]


def test_every_file_of_the_folder_is_the_services_own_or_of_a_manifest():
    folders = {folder.name for folder in FOLDER.iterdir() if folder.is_dir()}
    assert folders == {manifest.parent.name for manifest in MANIFESTS} | {"dashboard"}


def test_scripts_and_styles_of_the_dashboard_are_small():
    sizes = {
        name: (FOLDER / file).stat().st_size
        for name, (file, _) in ASSETS.items()
        if file.endswith(("js", "css"))
    }
    assert sum(sizes.values()) <= DASHBOARD_BYTES, sizes


def test_an_upload_of_the_dashboard_goes_on_after_the_same_answers_as_one_of_the_sdk():
    script = (FOLDER / "dashboard" / "upload.js").read_text()
    [listed] = re.findall(r"^const LOST = \[(.*?)\];", script, re.MULTILINE)
    assert set(map(int, listed.split(","))) == LOST
