"""Bring docs/reliability.md up to date with tests and reports.

`python -m tests.soak.publish [--soak soak.json] [--figures figures.json]` runs it.
"""

import argparse
import json
import re
from pathlib import Path

from tests.soak import figures, report
from tests.support.matrix import PAGE, rendered


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.publish", description=__doc__)
    parser.add_argument("--soak", type=Path, help="the report of a soak")
    parser.add_argument("--figures", type=Path, help="the report of --figures")
    options = parser.parse_args()
    page = PAGE.read_text()
    soak = json.loads(options.soak.read_text()) if options.soak else None
    if soak:
        page = replaced(page, "soak", f"$ {soak['command']}\n\n{report.text(soak)}")
    if options.figures:
        page = replaced(page, "figures", figures.text(json.loads(options.figures.read_text())))
    PAGE.write_text(rendered(page, soak and soak["faults"] | {"rage": sum(soak["faults"].values())}))


def replaced(page: str, name: str, text: str) -> str:
    """The page with *text* between the two marks of this name."""
    block = f"<!-- {name} -->\n```\n{text.strip()}\n```\n<!-- /{name} -->"
    page, found = re.subn(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _: block, page, flags=re.DOTALL)
    assert found == 1, f"docs/reliability.md has no place for {name}"
    return page


if __name__ == "__main__":
    main()
