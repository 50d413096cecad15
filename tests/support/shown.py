"""Commands and answers as pages show them."""

import re
import shlex
import subprocess
from pathlib import Path

import httpx2


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
