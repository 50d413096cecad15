"""Every whole spec in the docs is accepted and answered; where rows follow it, they are the answer.

`file:///data/` stands for the folder `examples/data/`.
"""

import csv
import io
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"^```json\n(\{.*?)^```\n+(?:```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)


def examples():
    """(spec, rows as CSV) of each JSON block that is a spec over files of `examples/data/`."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        for number, (block, rows) in enumerate(EXAMPLE.findall(page.read_text()), 1):
            if "file:///data/" in block:
                yield pytest.param(block, rows, id=f"{page.stem}-{number}")


@pytest.mark.parametrize(("block", "rows"), [*examples()])
def test_an_example_of_the_docs_is_answered_as_shown(stack, block, rows):
    data = ROOT / "examples" / "data"
    for path in filter(Path.is_file, data.rglob("*")):
        stack.write(f"examples/{path.relative_to(data)}", path.read_bytes())
    spec = json.loads(block.replace("file:///data/", f"file://{stack.data}/examples/"))
    spec.get("output", {}).pop("name", None)
    job = stack.run(spec)
    assert job["error"] is None
    if rows:
        answer = stack.http.get(f"/v1/jobs/{job['id']}/rows", params={"format": "csv", "limit": 1000})
        assert sorted(csv.reader(io.StringIO(answer.text))) == sorted(csv.reader(io.StringIO(rows)))
