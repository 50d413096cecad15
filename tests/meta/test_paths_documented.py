"""The files, folders and names that the documents mention exist.

A code span is taken for a path when it begins with a folder of the repository. What benchmarks write to
`benchmarks/out` is left out. "`name` in `path`" also promises that the file contains the name.
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "deploy/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
FOLDERS = "shared|api_service|worker_service|gristmill|tests|benchmarks|examples|deploy"
_PATH = re.compile(rf"`(?!benchmarks/out/)((?:{FOLDERS})/[\w./-]*)`")
_NAMED = re.compile(rf"((?:`\w+`(?:,| and)? )+)in `((?:{FOLDERS})/[\w./-]+\.\w+)`")


def broken(page: str) -> Iterator[str]:
    """Each path that does not exist, and each "name in path" that its file does not contain."""
    for path in _PATH.findall(page):
        if not (ROOT / path).exists():
            yield path
    for names, path in _NAMED.findall(page):
        for name in re.findall(r"`(\w+)`", names):
            if not (ROOT / path).exists() or not re.search(rf"\b{name}\b", (ROOT / path).read_text()):
                yield f"{name} in {path}"


def test_every_path_and_name_in_a_document_exists():
    found = [f"{page.name}: {each}" for page in PAGES for each in broken(page.read_text())]

    assert not found, "\n".join(["", *found])


def test_a_wrong_path_and_a_wrong_name_are_found():
    page = "See `shared/mistakes.py`, and `problem` and `no_such_name` in `shared/errors.py`."

    assert list(broken(page)) == ["shared/mistakes.py", "no_such_name in shared/errors.py"]
