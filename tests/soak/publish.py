"""Bring the documents up to date with the tests and with the reports of a soak.

`python -m tests.soak.publish [--soak soak.json] [--figures figures.json]` writes the report to docs/soak.md,
the figures to docs/reliability.md, and tests and counts to docs/fault-matrix.md.
"""

import argparse
import json
import re
from pathlib import Path

from tests.soak import figures, report
from tests.support import matrix

DOCS = matrix.PAGE.parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.publish", description=__doc__)
    parser.add_argument("--soak", type=Path, help="the report of a soak")
    parser.add_argument("--figures", type=Path, help="the report of --figures")
    options = parser.parse_args()
    injected = None
    if options.soak:
        soak = json.loads(options.soak.read_text())
        replace(DOCS / "soak.md", "soak", f"$ {soak['command']}\n\n{report.text(soak)}")
        injected = soak["faults"] | {matrix.EVERY: sum(soak["faults"].values())}
    if options.figures:
        replace(DOCS / "reliability.md", "figures", figures.text(json.loads(options.figures.read_text())))
    matrix.PAGE.write_text(matrix.rendered(matrix.PAGE.read_text(), injected))


def replace(page: Path, name: str, text: str) -> None:
    """Write *text* between the two marks `<!-- name -->` and `<!-- /name -->` of the page."""
    block = f"<!-- {name} -->\n```\n{text.strip()}\n```\n<!-- /{name} -->"
    pattern = rf"<!-- {name} -->.*?<!-- /{name} -->"
    written, found = re.subn(pattern, lambda _: block, page.read_text(), flags=re.DOTALL)
    assert found == 1, f"{page.name} must have the marks of {name} once"
    page.write_text(written)


if __name__ == "__main__":
    main()
