"""The commands of docs/cli.md work in their order, and answer as the page shows."""

import re
import shlex
from pathlib import Path

from typer.main import get_command

from gristmill.cli import app
from tests.support.command import Within

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text()
SHOWN = re.compile(
    r"^<!-- tested(?:: (?P<code>\d))? -->\n```sh\n(?P<commands>.*?)^```\n(?P<answer>.*?^```text\n.*?^```)?",
    re.MULTILINE | re.DOTALL,
)


def squeezed(text: str) -> list[str]:
    """The lines without the number of spaces in them."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_the_commands_answer_as_shown(stack, tmp_path):
    for name in ("orders.csv", "sessions.csv"):
        (tmp_path / name).write_bytes((ROOT / "examples" / "data" / name).read_bytes())
    gristmill = Within(tmp_path, GRISTMILL_URL=f"http://127.0.0.1:{stack.port}")
    job = "job_…"
    found = [*SHOWN.finditer(PAGE)]
    assert len(found) > 6

    for block in found:
        said = ""
        for command in block["commands"].replace("\\\n", " ").splitlines():
            _, *words = shlex.split(command.replace("job_…", job))
            ran = gristmill.run(*words)
            assert ran.returncode == int(block["code"] or 0), ran.stderr
            said += ran.stdout + ran.stderr
            job = re.search(r"job_\w+", said)[0] if "job_" in said else job
        lines = squeezed(re.sub(r"job_\w+", "job_…", said))
        shown = squeezed(block["answer"].partition("```text\n")[2].removesuffix("```"))
        missing = [line for line in shown if not any(line in each for each in lines)]
        assert not missing, said


def test_every_command_and_option_of_a_question_is_on_the_page():
    root = get_command(app)
    names = {
        f"{name} {inner}" if inner != "ls" else name
        for name, command in root.commands.items()
        for inner in (getattr(command, "commands", None) or [""])
    }
    missing = [name for name in names if not re.search(rf"{name.split()[0]}\b", PAGE)]
    options = {opt for one in root.commands["aggregate"].params for opt in one.opts if opt.startswith("--")}
    missing += [option for option in options if option not in PAGE]

    assert missing == []
