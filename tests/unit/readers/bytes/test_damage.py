"""Damaged compressed files: the error is the damage, and no error of the data that it made."""

import gzip
import io
import random

import openpyxl
import pytest

from shared.errors import CorruptFile
from tests.support.child_tasks import chunk_task, plan_task
from tests.support.datasets import rows
from tests.unit.readers.bytes.test_compressed import COMPRESS as PACKED
from worker_service.child import tasks
from worker_service.messages import Failed, decode_task, encode

LINES = random.Random(7)
TEXT = b"key,amount\n" + b"".join(
    b"%d,%d\n" % (LINES.randrange(10**9), LINES.randrange(10**9)) for _ in range(20_000)
)
JSON = b"".join(
    b'{"key": %d, "amount": %d}\n' % (LINES.randrange(10**9), LINES.randrange(10**9)) for _ in range(10_000)
)
SUMMED = {"group_by": [], "aggregates": [{"fn": "sum", "column": "amount"}]}
of_each = pytest.mark.parametrize("name", PACKED)


def outcome(folder, data, types=None):
    """How planning ends or, if it succeeds, the first chunk."""
    path = folder / "data"
    path.write_bytes(data)
    spec = {"source": {"uris": [f"file://{path}"], "types": types or {}}, **SUMMED}
    planned, _ = tasks.run(decode_task(encode(plan_task(spec, path, prove=True))), None)
    if isinstance(planned, Failed):
        return planned.problem
    found, _ = tasks.run(decode_task(encode(chunk_task(spec, planned, 0))), None)
    return found.problem if isinstance(found, Failed) else None


@of_each
@pytest.mark.parametrize("text", [TEXT, JSON], ids=["csv", "ndjson"])
def test_damage_anywhere_is_named_and_not_an_error_of_the_data_it_makes(tmp_path, name, text):
    packed = PACKED[name](text)
    draw = random.Random(3)
    unread = {"gzip": range(4, 10)}.get(name, range(0))  # the time and the system: no checksum has them
    early = [at for at in (4, 5, 6, 9, 12, 20, 40, 100, 300) if at not in unread]
    for at in (*early, *(draw.randrange(300, len(packed)) for _ in range(4))):
        damaged = bytearray(packed)
        damaged[at] ^= 0x55
        found = outcome(tmp_path, bytes(damaged))
        if name == "zstd" and at == 4 and found and found["code"] == "not_supported":
            continue  # the flag of a dictionary
        assert found is not None, at
        assert found["code"] == "corrupt_file", (at, found)
        assert f"the {name} data" in found["detail"]
        assert "byte" in found["detail"]


@of_each
def test_a_file_that_ends_inside_its_first_bytes_is_truncated(name):
    packed = PACKED[name](TEXT)
    for kept in (5 if name == "bzip2" else 3, 7, 8, 20, 200):
        with pytest.raises(CorruptFile, match=f"the {name} data is truncated: the file ends at byte {kept}"):
            rows(packed[:kept])


def test_a_header_whose_damage_only_the_checksum_shows_is_no_unknown_column(tmp_path):
    packed = bytearray(gzip.compress(b"key,amount\n1,2\n", 0))
    stored = packed.find(b"amount")
    packed[stored] ^= 1
    found = outcome(tmp_path, bytes(packed))
    assert found["code"] == "corrupt_file"
    assert "Incorrect checksum" in found["detail"]


def test_text_that_begins_as_bzip2_does_is_text():
    assert rows(b"BZh9,n\n1,2\n") == [(1, 2)]


@pytest.mark.parametrize(
    ("head", "types", "code"),
    [
        ("amount", {}, "type_mismatch"),
        ("other", {}, "unknown_column"),
        ("amount", {"amount": "int64"}, "bad_row"),
    ],
)
def test_an_error_of_the_data_of_a_workbook_is_told_as_it_is(tmp_path, head, types, code):
    """A workbook is a zip file of many members, and none of them is a file of the dataset."""
    book = openpyxl.Workbook()
    for row in (("key", head), ("a", "x"), ("b", 2)):
        book.active.append(row)
    made = io.BytesIO()
    book.save(made)
    found = outcome(tmp_path, made.getvalue(), types)
    assert found["code"] == code
    assert "zip" not in found["detail"]
