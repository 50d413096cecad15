"""docs/security.md: each row has a test that exists, and the containers have few rights."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| rule ")]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions_of(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in tree if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_each_row_names_tests_that_exist():
    assert len(ROWS) > 60
    without = [row for row in ROWS if not NAMED.search(row.split(" | ")[-1])]
    assert without == []
    missing = [
        f"{path}::{name}"
        for path, name in NAMED.findall(PAGE)
        if not (ROOT / path).exists() or not name.startswith("test_") or name not in functions_of(ROOT / path)
    ]
    assert missing == []


def test_each_service_of_compose_has_few_rights():
    text = (ROOT / "docker-compose.yml").read_text()
    common = text.partition("\nx-gristmill:")[2].partition("\nservices:\n")[0]
    blocks = text.partition("\nservices:\n")[2].partition("\nvolumes:\n")[0]
    services = re.split(r"^  (?=\w+:)", blocks, flags=re.MULTILINE)[1:]
    assert "cap_drop: [ALL]" in common
    assert len(services) > 4
    for service in services:
        rights = common if "*gristmill" in service else service
        assert "read_only: true" in rights, service
        assert "no-new-privileges:true" in rights, service
        assert "privileged: true" not in service
    assert "docker.sock" not in text
    assert re.search(r"^USER 10001", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
