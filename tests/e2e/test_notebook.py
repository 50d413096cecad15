"""examples/flights.ipynb runs from its first cell to its last, and shows the outputs that it has stored."""

import re
from pathlib import Path

import pytest

from tests.support import notebook


@pytest.fixture
def kernel(stack, tmp_path, monkeypatch):
    """The environment of the kernel: the service, and folders of its own for settings and history."""
    monkeypatch.setenv("GRISTMILL_URL", f"http://127.0.0.1:{stack.port}")
    for name in (
        "IPYTHONDIR",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "MPLCONFIGDIR",
    ):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


@pytest.mark.full
def test_it_shows_what_is_stored(kernel):
    assert notebook.outputs(notebook.executed()) == notebook.outputs(notebook.stored())


def test_its_outputs_have_a_bar_a_frame_two_charts_and_the_digest():
    shown = [output for cell in notebook.stored().cells for output in cell.get("outputs", [])]
    kinds = [kind for output in shown for kind in output.get("data", {})]
    pages = "".join(output["data"].get("text/html", "") for output in shown if "data" in output)
    texts = "".join(output["data"].get("text/plain", "") for output in shown if "data" in output)

    assert kinds.count("image/png") == 2
    assert re.search(r'flights_by_month</b> <progress max="1" value="1.0000">', pages)
    assert "dataframe" in pages
    assert re.search(r"sha256:[0-9a-f]{64}", texts)
    assert {output["output_type"] for output in shown} <= {"display_data", "execute_result", "stream"}
    assert not [output for output in shown if output.get("name") == "stderr"]


def test_it_names_no_path_of_a_machine():
    text = notebook.FILE.read_text()
    folders = (str(notebook.FILE.parents[1]), f"{Path.home()}/", "/home/", "/tmp/", "/usr/", "site-packages")

    assert not [folder for folder in folders if folder in text]
