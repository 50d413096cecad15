"""The commands of docs/tutorial.md work in their order, and answer as the page shows."""

import json
import re
from pathlib import Path

from tests.support.shown import blocks, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
IDS = {"upload:upl_…": r'"uri":"(upload:upl_\w+)"', "job_…": r'"id":"(job_\w+)"'}


def readable(said: str) -> str:
    """The errors of a failed job as its document has them; any other answer as it is."""
    job = json.loads(said) if said.startswith("{") and said.rstrip().endswith("}") else {}
    error = job.get("error")
    if not error:
        return said.replace("\r\n", "\n")
    return "\n".join([error["detail"], *(one["detail"] for one in error["errors"])])


def test_the_tutorials_commands_answer_as_shown(stack):
    here = {"http://127.0.0.1:8080": f"http://127.0.0.1:{stack.port}"}
    said = ""
    for commands in blocks(PAGE, "sh", tested=True):
        answer = run(commands, here, ROOT)
        for name, pattern in IDS.items():
            if found := re.search(pattern, answer):
                here[name] = found[1]
        shown = readable(answer)
        for name in IDS:
            shown = shown.replace(here.get(name, name), name)
        said += shown + "\n"
    answers = [line for block in blocks(PAGE, "text") for line in block.splitlines()]
    assert len(answers) > 8
    assert [line for line in answers if line not in said] == [], said


def test_the_tutorial_shows_the_file_as_it_is():
    assert blocks(PAGE, "csv") == [(ROOT / "examples" / "data" / "orders.csv").read_text()]
