"""Each block of docs/reading.md, run with a login that only reads."""

import io
import os
import re
import secrets
from contextlib import redirect_stdout
from pathlib import Path

import psycopg
import pytest

from tests.support.databases import as_role
from tests.support.shown import blocks, in_a_shell, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reading.md").read_text()
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
EXAMPLE = re.compile(
    r"^<!-- tested -->\n```(sh|python)\n(.*?)^```\n(?:\n```(\w+)\n(.*?)^```)?", re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def orders(stack):
    """The result of the tutorial, by its own commands."""
    here = {"http://127.0.0.1:8080": f"http://127.0.0.1:{stack.port}"}
    upload, *_, job, _ = blocks(TUTORIAL, "sh", tested=True)
    [here["upload:upl_…"]] = re.findall(r'"uri":"(upload:upl_\w+)"', run(upload, here, ROOT))
    assert '"error":null' in run(job, here, ROOT)


@pytest.fixture(scope="module")
def login(postgres, stack, orders):
    """The DSN of a member of the readers, as docs/deploy.md makes one."""
    role, password = f"anna_{os.getpid()}", secrets.token_hex(16)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}' IN ROLE gristmill_reader_default")
        yield as_role(stack.database_url, role, password)
        connection.execute(f"DROP ROLE {role}")


def in_this_process(code: str) -> str:
    names: dict[str, object] = {}
    with redirect_stdout(io.StringIO()) as said:
        exec(code, names)
    if "engine" in names:
        names["engine"].dispose()
    return said.getvalue()


def plain(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def test_every_block_works_and_says_what_is_shown(stack, login, tmp_path, monkeypatch):
    url = f"http://127.0.0.1:{stack.port}"
    monkeypatch.setenv("GRISTMILL_DSN", login)
    monkeypatch.syspath_prepend(tmp_path)
    languages = []
    for language, code, shown_as, shown in EXAMPLE.findall(PAGE):
        if language == "sh":
            said = in_a_shell(code, {"GRISTMILL_DSN": login, "GRISTMILL_URL": url}, tmp_path)
        else:
            said = in_this_process(code.replace("http://127.0.0.1:8080", url))
        if shown_as == "python":
            said = (tmp_path / "results.py").read_text()
        assert plain(said) == plain(shown), code
        languages.append(language)
    assert languages.count("python") == PAGE.count("```python") - 1
    assert languages.count("sh") == PAGE.count("```sh") == 2
