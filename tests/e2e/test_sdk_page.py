"""The blocks of docs/sdk.md work in their order and print what the page shows; each public name is listed."""

import contextlib
import io
import re
from pathlib import Path

import pytest

import gristmill
from tests.support import reference

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sdk.md").read_text()
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str]]:
    """Each program with the text that it prints."""
    blocks = BLOCK.findall(PAGE)
    assert [language for language, _ in blocks] == ["python", "text"] * (len(blocks) // 2)
    return [(blocks[at][1], blocks[at + 1][1]) for at in range(0, len(blocks), 2)]


def test_every_block_prints_what_the_page_shows(stack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRISTMILL_URL", f"http://127.0.0.1:{stack.port}")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names: dict = {}
    printed = []
    for code, _ in examples():
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(code, "docs/sdk.md", "exec"), names)
        printed.append(output.getvalue())
    names["client"].close()

    assert printed == [shown for _, shown in examples()]


def test_the_reference_is_that_of_the_docstrings():
    assert reference.page() == reference.PAGE.read_text(), "run python -m tests.support.reference"


@pytest.mark.parametrize("name", gristmill.__all__)
def test_each_public_name_is_in_the_reference(name):
    text = reference.PAGE.read_text()

    assert re.search(rf"\b{name}\b", text)


def test_the_guide_names_each_exception():
    assert [name for name in reference.errors() if f"`{name}`" not in PAGE and name != "JobError"] == []
