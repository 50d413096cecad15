"""docs/errors.md lists every code that a user can meet, with its category and status."""

import re
from pathlib import Path

from api_service.problems import status_and_title
from shared.errors import GristmillError, Interruption, subclasses

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
MET = {cls.code: cls for cls in subclasses() if not issubclass(cls, Interruption) and cls is not GristmillError}


def test_every_code_is_documented_and_no_other():
    documented = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)

    assert sorted(documented) == sorted(MET)


def test_status_and_category_are_the_ones_in_the_code():
    for code, status, category in re.findall(r"^\| `(\w+)` \| (\d+) \| (\w+) \|", PAGE, re.MULTILINE):
        cls = MET[code]
        assert (status_and_title(cls("x"))[0], cls.category) == (int(status), category)


def test_codes_are_unique_and_snake_case():
    codes = [cls.code for cls in subclasses() if "code" in vars(cls)]

    assert len(codes) == len(set(codes)) + 1, "internal_error is the base's code too"
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
