"""docs/errors.md lists every code that a user can meet, with its category and status."""

import re
from pathlib import Path

from api_service.problems import status_and_title
from shared.errors import GristmillError, Interruption, subclasses

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
MET = {
    cls.code: cls for cls in subclasses() if not issubclass(cls, Interruption) and cls is not GristmillError
}


def tables() -> list[list[dict[str, str]]]:
    """The page's tables, each row by the names of its columns.

    Fails on a row that has other cells than the head of its table.
    """
    found: list[list[dict[str, str]]] = []
    head: list[str] = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if not line.startswith("|"):
            head = []
        elif not head:
            head = cells
            found.append([])
        elif set(line) != set("|-"):
            assert len(cells) == len(head), (
                f"{line!r} has {len(cells)} cells, and its table {len(head)} columns"
            )
            found[-1].append(dict(zip(head, cells, strict=True)))
    return found


def test_every_code_is_documented_and_no_other():
    documented = [row["code"].strip("`") for table in tables() for row in table]

    assert sorted(documented) == sorted(MET)


def test_status_and_category_are_the_ones_in_the_code():
    assert [sorted(table[0]) for table in tables()] == [
        ["category", "code", "status", "when"],
        ["category", "code", "when"],
    ]
    for row in (row for table in tables() for row in table):
        cls = MET[row["code"].strip("`")]
        assert row["category"] == cls.category, row
        assert int(row.get("status", 0)) in {0, status_and_title(cls("x"))[0]}, row
        assert row["when"]


def test_codes_are_unique_and_snake_case():
    codes = [cls.code for cls in subclasses() if "code" in vars(cls)]

    assert len(codes) == len(set(codes)) + 1, "internal_error is the base's code too"
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
