"""Inputs from public bug reports give the right answer, or a clear error whose advice gives it.

`tests/field_cases/README.md` describes the folders.
"""

import json
import re
import shutil
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.stack import Stack

CASES = Path(__file__).parent.parent / "field_cases"
NAMES = sorted(folder.name for folder in CASES.iterdir() if folder.is_dir())

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)?")


@pytest.fixture(scope="module")
def folder(stack: Stack) -> Path:
    """The cases where the stack may read them."""
    copied = stack.data / "field_cases"
    shutil.copytree(CASES, copied, dirs_exist_ok=True)
    return copied


def outcome(stack: Stack, folder: Path, name: str, spec: str) -> list[dict[str, Any]] | dict[str, Any]:
    """The rows, or the problem with which the job was refused or failed."""
    body = (folder / name / spec).read_text().replace("@CASES@", str(folder))
    answer = stack.http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    if answer.status_code >= 400:
        return answer.json()
    job = stack.wait(answer.json()["id"])
    return stack.rows(job["id"]) if job["state"] == "succeeded" else job["error"]


def same_rows(found: list[dict[str, Any]], right: list[dict[str, Any]]) -> bool:
    """The order does not matter. A value and its type do, but equal numbers of any type are the same."""
    left = list(found)
    for row in right:
        same = [other for other in left if same_row(other, row)]
        if not same:
            return False
        left.remove(same[0])
    return not left


def same_row(found: dict[str, Any], right: dict[str, Any]) -> bool:
    """A decimal is a text in JSON, and a moment has several spellings."""
    return found.keys() == right.keys() and all(
        Decimal(found[name]) == Decimal(str(value))
        if isinstance(value, float) and isinstance(found[name], str)
        else plain(found[name]) == plain(value)
        for name, value in right.items()
    )


def plain(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) and MOMENT.fullmatch(value) else value


def explains(problem: dict[str, Any], right: dict[str, Any]) -> bool:
    """Whether the code is one of those expected, and the texts mention what they have to."""
    told = json.dumps([problem["detail"], problem.get("errors")], ensure_ascii=False)
    told = told.replace("\\\\", "\\").replace('\\"', '"')
    any_of = right.get("mention_any", [])
    return (
        problem["code"] in right["codes"]
        and all(word in told for word in right["mentions"])
        and (not any_of or any(word in told for word in any_of))
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_case_from_the_field_is_answered_rightly_or_explained(stack, folder, name):
    right = json.loads((folder / name / "expect.json").read_text())
    found = outcome(stack, folder, name, "spec.json")
    if right["want"] == "error":
        assert isinstance(found, dict), found
        assert explains(found, right), found
        return
    if isinstance(found, dict):
        assert any(explains(found, error) for error in right.get("ok_errors", [])), found
        assert (folder / name / "spec_cured.json").exists(), f"no cure of: {found['detail']}"
        found = outcome(stack, folder, name, "spec_cured.json")
    assert isinstance(found, list), found
    assert same_rows(found, right["rows"]), found


def test_no_cure_is_kept_for_a_spec_that_is_answered(folder):
    for name in NAMES:
        right = json.loads((folder / name / "expect.json").read_text())
        assert right["want"] == "rows" or not (folder / name / "spec_cured.json").exists(), name
