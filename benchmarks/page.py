"""docs/benchmarks.md and its pictures, from the JSON of a run.

A table stands between `<!-- figures: NAME -->` and `<!-- end -->`, where NAME is a section's name or
`machine`. The rest of the page is written by hand.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import pictures
from benchmarks.sections import SECTIONS
from benchmarks.tables import FAST, NAMES, median, ratio

DOCS = Path(__file__).parents[1] / "docs"
PAGE, IMAGES = DOCS / "benchmarks.md", DOCS / "images"
_FIGURES = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
RATIOS = {
    "ratios": (
        ["groupby"],
        "Gristmill's time, as a multiple of that of the faster of DuckDB and Polars: 1e7 rows",
    ),
    "ratios-parquet": (
        ["rest"],
        "Gristmill's time, as a multiple of that of the faster of DuckDB and Polars: 1e7 rows, the rest",
    ),
    "ratios-others": (
        ["forms", "questions"],
        "Gristmill's time, as a multiple of that of the faster of DuckDB and Polars: other forms",
    ),
    "ratios-large": (
        ["large_csv", "large_parquet"],
        "Gristmill's time, as a multiple of that of the faster of DuckDB and Polars: 1e8 rows",
    ),
}
"""The name of a picture, its sections, and its title. It stands above the first section's table."""
ENGINES = ("q1", "q3")
"""Questions of which a picture shows the seconds of every engine, above the table of `groupby`."""


def machine_line(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    where = f"{found['cores']} cores, {found['memory_gib']} GiB of memory, {found['system']}"
    native = f"The native library is {found['native']}" if found["native"] else "There is no native library"
    return f"{where}, Python {found['python']}. {native}. Versions: {versions}. Runs each: {found['runs']}."


def pages(document: dict[str, Any]) -> dict[Path, str]:
    """The texts of the page and of the pictures; a section that was not measured stays as it is."""
    drawn = list(_drawn(document))

    def figures(found: re.Match[str]) -> str:
        begin, name, end = found.groups()
        if name not in document:
            return found[0]
        if name == "machine":
            return "\n".join([begin, machine_line(document[name]), "", end])
        links = [f"![{each.title}](images/{each.path.name})\n" for each in drawn if each.section == name]
        return "\n".join([begin, *links, *SECTIONS[name].shown(document[name]["figures"]), "", end])

    return {PAGE: _FIGURES.sub(figures, PAGE.read_text())} | {each.path: each.text for each in drawn}


def write(document: dict[str, Any]) -> None:
    IMAGES.mkdir(exist_ok=True)
    for path, text in pages(document).items():
        path.write_text(text)
        print(f"{path} has {len(text):,} characters")


class Drawn(NamedTuple):
    """A picture, which stands above the table of *section*."""

    section: str
    title: str
    path: Path
    text: str


def _drawn(document: dict[str, Any]) -> Iterator[Drawn]:
    for name, (sections, title) in RATIOS.items():
        cases = [case for each in sections for case in _of(document, each)]
        if rows := [(_label(case), value) for case in cases if (value := ratio(case, *FAST)) is not None]:
            first = next(each for each in sections if each in document)
            yield Drawn(first, title, IMAGES / f"{name}.svg", pictures.ratios(title, rows))
    for question in ENGINES:
        if "groupby" in document and (rows := _seconds(document, question)):
            title = f"Seconds of {question} over CSV, by engine"
            path = IMAGES / f"engines-{question}.svg"
            yield Drawn("groupby", title, path, pictures.seconds(title, rows))


def _of(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return document[name]["figures"] if name in document else []


def _label(case: dict[str, Any]) -> str:
    return f"{case['question']}, {case['format']}"


def _seconds(document: dict[str, Any], question: str) -> list[tuple[str, float]]:
    """Of every engine, the fastest first. Gristmill's are those of the run beside DuckDB and Polars."""
    queues = document["queues"]["figures"]["questions"] if "queues" in document else []
    cases = [*queues, *_of(document, "groupby")]
    found = {
        engine: took
        for case in cases
        if (case["question"], case["format"]) == (question, "csv")
        for engine, runs in case["engines"].items()
        if (took := median(runs, "wall"))
    }
    rows = [(NAMES.get(engine, engine), took) for engine, took in found.items()]
    return sorted(rows, key=lambda row: row[1])
