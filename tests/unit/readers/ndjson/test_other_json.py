"""JSON that is not one object a line: the error names its shape, and the command that mends it."""

import json
import subprocess

import pytest

from shared.errors import BadRow, NotSupported, UnknownColumn
from shared.spec.models import JobSpec
from shared.spec.uses import uses
from tests.support.datasets import opened, source, tables
from worker_service.readers import plan

OBJECTS = [{"a": 1, "b": "x, y"}, {"a": 2, "b": "},"}, {"a": 3, "b": None}]
LINES = [json.dumps(found).encode() for found in OBJECTS]
DECLARED = source(file_format="ndjson")


def refusal(data, spec=DECLARED, names=("a",)):
    whole = {
        "source": {"uris": ["file:///data/t0"]},
        "group_by": list(names),
        "aggregates": [{"fn": "count"}],
    }
    with opened(data) as files, pytest.raises((NotSupported, UnknownColumn)) as caught:
        plan(files, spec, 1000, uses=uses(JobSpec.model_validate(whole)))
    return caught.value.detail


@pytest.mark.parametrize("spec", [DECLARED, source()], ids=["ndjson", "auto"])
@pytest.mark.parametrize("end", [b",\n", b",\r\n", b", \n"])
def test_lines_that_end_in_commas_are_mended_by_the_command_of_the_error(spec, end):
    data = end.join(LINES) + end
    told = refusal(data, spec)
    assert "is JSON with commas between the lines: remove the comma at the end of each line" in told
    mended = subprocess.run(told.split("`")[1], shell=True, input=data, capture_output=True, check=True)
    assert [json.loads(line) for line in mended.stdout.splitlines()] == OBJECTS


@pytest.mark.parametrize("spec", [DECLARED, source()], ids=["ndjson", "auto"])
@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"[" + b",".join(LINES) + b"]", "a JSON array: write one object a line (NDJSON), as `jq -c '.[]'`"),
        (b"[\n" + b",\n".join(LINES) + b"\n]\n", "a JSON array: write one object a line (NDJSON), as `jq -c"),
        (b"[[1, 2], [3, 4]]", "a JSON array of arrays: write CSV, as `jq -r '.[] | @csv'` does"),
        (b'[1, 2, "x"]', "a JSON array of values: write one value a line, as `jq -r '.[]'` does"),
        (b"[1, 2]\n[3, 4]\n", "a JSON array in each line: write CSV, as `jq -r @csv` does"),
        (b'{\n "a": 1\n}\n', "a JSON document"),
        (b'{"kind": "x", "rows": [\n{"a": 1}\n]}', "`jq -c '.rows[]'` writes those of the array in it"),
    ],
)
def test_other_json_is_named_with_the_command_that_is_for_it(data, told, spec):
    assert told in refusal(data, spec)


def test_one_record_that_holds_the_data_in_an_array_is_told_with_the_command():
    told = refusal(b'{"meta": {"n": 2}, "found": {"all items": [{"a": 1}, {"a": 2}]}}\n')
    assert "the data has" in told
    assert """"found.all items" is an array in it: `jq -c '.found."all items"[]'` writes one object""" in told


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\nhello\nworld\n", "byte 1, line 2: no JSON: Expecting value at byte 0 of the line; the line is"),
        (b"a,b\n1,2\n", "byte 0, line 1: no JSON: Expecting value at byte 0 of the line; the line is 'a,b'"),
        (b"{'a': 1}\n{'a': 2}\n", "Expecting property name enclosed in double quotes at byte 1 of the line"),
        (b"1\n2\n", "byte 0, line 1: no JSON object; the line is '1'"),
        (b"\xff\xfd\n", "byte 0, line 1: byte 0 of the line is not UTF-8: 0xff"),
    ],
)  # fmt: skip
def test_lines_of_which_none_is_an_object_are_no_ndjson(data, told):
    found = refusal(data)
    assert found.startswith("file:///data/t0 is ")
    assert told in found


def test_a_comma_behind_a_later_object_is_told_so():
    with pytest.raises(BadRow, match=r"byte 8, line 2: no JSON: A comma behind the object at byte 7 of the"):
        tables(b'{"a":1}\n{"a":2},\n{"a":3}\n', spec=DECLARED)
