"""docs/http.md names every URL and every error code that the gateway can answer with."""

import re
from pathlib import Path

from api_service.problems import STATUSES
from api_service.routes import OPERATIONS

PAGE = Path(__file__).parents[3].joinpath("docs/http.md").read_text()


def test_every_url_is_documented():
    paths = {re.sub(r"\{(\w+):.*?\}\}?", r"{\1}", operation.path) for operation in OPERATIONS}

    assert [path for path in sorted(paths) if f"{path}`" not in PAGE and f"{path}?" not in PAGE] == []


def test_every_code_stands_in_the_row_of_its_status():
    rows = dict(re.findall(r"^\| (\d{3}) \| (.*) \|$", PAGE, re.MULTILINE))
    leaves = [cls for cls in STATUSES if not cls.__subclasses__()]

    assert [cls.code for cls in leaves if f"`{cls.code}`" not in rows[str(STATUSES[cls][0])]] == []
