"""Plans by both paths: the same columns, warnings and cuts, whatever the file; and the csv module agrees."""

import csv
import io
import random

import pytest

from shared.errors import GristmillError
from shared.spec.uses import Mention, Uses
from tests.support.datasets import opened, source
from tests.support.native import needs_library, path
from worker_service.readers import plan

pytestmark = needs_library

KINDS = {
    "int64": ["0", "-7", "12345678901", "9223372036854775807"],
    "float64": ["0.5", "-1.25e3", "nan", "7", "1.", ".5", "1e-320"],
    "bool": ["true", "FALSE", "True"],
    "date": ["2024-02-29", "0001-01-01", "9999-12-31"],
    "timestamp": ["2024-02-29 23:59:59.123456", "2024-02-29T00:00", "2024-02-29"],
    "timestamptz": ["2024-02-29T00:00Z", "2024-02-29 00:00:00.5+09:00"],
    "string": ["x", "é", '"a,b"', '"a\n""b"""', '""', "007"],
}
ODD = ["", "NA", '"NA"', '""', "x", "007", "1.0", "+1", " 1", "9223372036854775808", "1e400", "nan",
       "TRUE", "2024-02-30", "24:00", "1,5", "\xff", "nul\0", '5" x', '"1"', "a" * 70]  # fmt: skip


def content(chance, rows, odd):
    """Three columns of a kind each, in which one value of so many is *odd*; some records are ragged."""
    kinds = [chance.choice(list(KINDS)) for _ in range(3)]
    lines = ["a,b,c"]
    for _ in range(rows):
        cells = [chance.choice(ODD if chance.random() < odd else KINDS[kind]) for kind in kinds]
        lines.append(",".join(cells[: 2 if chance.random() < odd / 4 else 3]))
    return "\n".join(lines).encode().replace("\xff".encode(), b"\xff") + b"\n"


def planned(data, spec, setting, **how):
    mentions = (Mention(("group_by",), "a", key=True), *(Mention((), name, value=True) for name in "abc"))
    with path(setting), opened(data) as files:
        try:
            found = plan(files, spec, uses=Uses(mentions), **how)
        except GristmillError as error:
            return type(error), error.detail
    return found


@pytest.mark.parametrize("odd", [0, 0.001, 0.05, 0.5])
@pytest.mark.parametrize("seed", range(12))
def test_both_paths_plan_the_same(odd, seed):
    chance = random.Random(f"{odd} {seed}")
    data = content(chance, chance.choice([1, 30, 3000]), odd)
    spec = source(null_values=("NA",) if seed % 2 else ())
    for chunk_bytes in (1 << 30, 4000):
        require, off = (
            planned(data, spec, setting, chunk_bytes=chunk_bytes) for setting in ("require", "off")
        )
        assert require == off


@pytest.mark.parametrize("seed", range(6))
def test_samples_of_a_large_file_are_the_same_by_both_paths(monkeypatch, seed):
    monkeypatch.setattr("worker_service.readers.csv.cuts.SAMPLE_BYTES", 512)
    monkeypatch.setattr("worker_service.readers.csv.cuts.GUESS_BYTES", 1024)
    data = content(random.Random(seed), 2000, 0.002)
    for guess in (True, False):
        require, off = (
            planned(data, source(), setting, chunk_bytes=4000, guess=guess) for setting in ("require", "off")
        )
        assert require == off


def test_the_kinds_are_those_of_the_values_that_the_csv_module_reads():
    data = b"n,f,q,s\n" + b'1,2.5,"3",x\n' * 500 + b'-4,1e3,"",y\n' * 500
    with path("require"), opened(data) as files:
        schema = plan(files, source(), 1 << 30).schema
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    for field in schema.fields:
        values = [row[field.column] for row in rows if row[field.column]]
        read = {"int64": int, "float64": float, "string": str}[field.type.kind]
        assert all(isinstance(read(value), read) for value in values)
    assert [str(field.type) for field in schema.fields] == ["int64", "float64", "int64", "string"]


def test_the_schema_of_a_small_file_is_that_of_all_its_records(monkeypatch):
    """A record across the border of two samples is seen too, whatever the size of the chunks."""
    monkeypatch.setattr("worker_service.readers.csv.cuts.SAMPLE_BYTES", 256)
    for at in range(120, 140):
        data = b"n\n" + b"1\n" * at + b"1." + b"5" * 12 + b"\n" + b"1\n" * 200
        with opened(data) as files:
            for chunk_bytes in (64, 1 << 30):
                assert str(plan(files, source(), chunk_bytes).schema.fields[0].type) == "float64"
