"""The commands and answers of the README are true."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shown import blocks, run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def demo_says(tmp_path_factory) -> str:
    from tests.support.launched import Launched, any_port

    with Launched("demo", "--port", str(any_port()), cwd=tmp_path_factory.mktemp("demo")) as launcher:
        assert launcher.end() == 0, launcher.said
        return launcher.said


@pytest.mark.timeout(180)
def test_the_demos_output_is_the_one_shown(demo_says):
    shown = [line.rstrip() for line in blocks(README, "text")[0].splitlines() if line.strip()]
    said = [line.rstrip() for line in demo_says.splitlines()]

    assert [line for line in shown if line not in said] == []


def test_the_commands_work_as_shown(stack, tmp_path, monkeypatch):
    """Run the blocks in order, with the stack's port and the upload's id put in."""
    [python] = blocks(README, "python", tested=True)
    aggregate, upload, use = blocks(README, "sh", tested=True)
    _, rows, table, export = blocks(README, "text")
    url = f"http://127.0.0.1:{stack.port}"
    here = {"http://127.0.0.1:8080": url, ".venv/bin/gristmill": f"{Path(sys.executable).parent}/gristmill"}
    monkeypatch.setenv("GRISTMILL_URL", url)
    assert told([sys.executable, "-c", python.replace("http://127.0.0.1:8080", url)], tmp_path) == rows
    assert (
        told(shlex.split(aggregate.replace(".venv/bin/gristmill", here[".venv/bin/gristmill"])), tmp_path)
        == table
    )

    first = run(upload, here, tmp_path)
    uploaded = re.search(r'"uri":"(upload:upl_\w+)"', first)
    assert uploaded, first
    assert '"bytes":39' in first
    said = run(use, here | {"upload:upl_…": uploaded[1]}, tmp_path)

    assert export.strip() in said.replace("\r\n", "\n"), said
    for name in ("city_totals", "sales_by_city"):
        assert stack.sql(f"SELECT city FROM results.{name} ORDER BY city") == [("Busan",), ("Seoul",)]


def told(command: list[str], folder: Path) -> str:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_make_verb_named_exists():
    verbs = set(re.findall(r"^([a-z-]+):.*?##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README + (ROOT / "CONTRIBUTING.md").read_text()))

    assert named - verbs == set()
    assert {"demo", "test", "test-fast", "lint", "types", "bench", "clean"} <= verbs


def anchors(page: Path) -> set[str]:
    """The fragments that the headings of a page can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_to_a_file_and_a_heading():
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "deploy/README.md")]
    missing = []
    for page in [*top, *sorted((ROOT / "docs").glob("*.md"))]:
        for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
            target = page.parent / path if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                missing.append(f"{page.name}: {path}#{anchor}")

    assert missing == []
