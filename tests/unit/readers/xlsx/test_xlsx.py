import io
import zipfile
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import openpyxl
import pytest

from shared.errors import (
    BadRow,
    CorruptFile,
    InvalidSpec,
    LimitExceeded,
    SchemaConflict,
    SourceEmpty,
    UnknownColumn,
)
from shared.spec.source import XlsxOptions
from shared.spec.uses import Mention, Uses
from tests.support.datasets import opened, rows, schema_of, source, tables
from worker_service.readers import plan

NOON = datetime.fromisoformat("2024-05-01T12:00:00.500")


def workbook(*rows, more=None, merge=None):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if merge:
        book.active.merge_cells(merge)
    for name, others in (more or {}).items():
        sheet = book.create_sheet(name)
        for row in others:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def sheet(wanted, types=None):
    return source(types).model_copy(update={"xlsx": XlsxOptions(sheet=wanted)})


def uses_of(*columns):
    return Uses(tuple(Mention((), column, value=True) for column in columns))


def test_cells_have_their_types_and_empty_ones_are_null():
    data = workbook(
        ["i", "f", "s", "b", "d", "t", "mixed", "time", "long", "error"],
        [1, 1.5, "007", True, date(2024, 5, 1), NOON, 5, time(1, 2, 3), timedelta(hours=30), "#N/A"],
        [None] * 10,
        [-2, 2, None, False, None, date(2024, 5, 2), "x", None, timedelta(seconds=1.5), 7],
    )
    assert schema_of(data) == {
        "i": "int64", "f": "float64", "s": "string", "b": "bool", "d": "date", "t": "timestamp",
        "mixed": "string",
        "time": "string",
        "long": "string", "error": "int64",
    }  # fmt: skip
    assert rows(data) == [
        (1, 1.5, "007", True, date(2024, 5, 1), NOON, "5", "01:02:03", "30:00:00", None),
        (-2, 2.0, None, False, None, datetime.fromisoformat("2024-05-02"), "x", None, "00:00:01.5", 7),
    ]
    assert rows(data, columns=["mixed"], batch_bytes=1) == [("5",), ("x",)]
    assert sum(frame.num_rows for frame in tables(data, columns=[])) == 2


def test_whole_numbers_beyond_the_exact_range_of_a_double_are_doubles():
    assert schema_of(workbook(["n"], [1], [2**53])) == {"n": "float64"}
    assert schema_of(workbook(["n"], [1], [2**53 - 1])) == {"n": "int64"}


def test_declared_types_are_read_from_texts_and_numbers():
    data = workbook(["m", "d", "z", "k"], [1.1, "2024-05-01", NOON, 7], ["2.50", date(2024, 5, 2), None, "x"])
    spec = source({"m": "decimal(9,2)", "d": "date", "z": "timestamp", "k": "string"})
    assert rows(data, spec=spec) == [
        (Decimal("1.10"), date(2024, 5, 1), NOON, "7"),
        (Decimal("2.50"), date(2024, 5, 2), None, "x"),
    ]
    with pytest.raises(BadRow, match="file:///data/t0, row 3: column 'm': 'n/a' is no decimal"):
        rows(workbook(["m"], [1], ["n/a"]), spec=source({"m": "decimal(9,2)"}))


def test_marks_of_a_declared_column_are_those_of_texts_and_not_of_numbers():
    spec = source({"n": {"type": "float64", "decimal": ",", "thousands": "."}})
    assert rows(workbook(["n"], ["1.234,5"], [1.234], [-2]), spec=spec) == [(1234.5,), (1.234,), (-2.0,)]


def test_a_sheet_is_named_or_numbered_and_its_table_may_begin_anywhere():
    data = workbook(["a"], [1], more={"Second": [[], [None, None, "b"], [None, None, 2]], "Empty": []})
    assert rows(data) == [(1,)]
    assert rows(data, spec=sheet("Second")) == rows(data, spec=sheet(2)) == [(2,)]
    with pytest.raises(SourceEmpty, match='the sheet "Empty" is empty'):
        schema_of(data, spec=sheet(3))
    for wanted in ("second", 4):
        with pytest.raises(InvalidSpec, match='it has "Sheet", "Second", "Empty"') as raised:
            schema_of(data, spec=sheet(wanted))
        assert raised.value.errors[0]["pointer"] == "#/source/xlsx/sheet"


def test_an_unknown_column_is_looked_for_in_lower_rows_and_other_sheets():
    data = workbook(
        ["Report generated", "2024-05-01"], [], ["Region", "Sold"], ["North", 1],
        more={"Stock": [["Item"], ["nut"]], "Prices": [["EUR"], ["Price"], [2]]},
    )  # fmt: skip
    own, other, stock = (
        f'the sheet "{name}" has it: if that is the header, ' for name in ("Sheet", "Prices", "Stock")
    )
    hints = {
        "Region": f"; row 3 of {own}delete the rows above it",
        "Item": f'; row 1 of {stock}set source.xlsx.sheet to "Stock"',
        "Price": f'; row 2 of {other}set source.xlsx.sheet to "Prices" and delete the rows above it',
        "Year": '; source.xlsx.sheet can name another sheet: "Sheet", "Stock", "Prices"',
    }
    with opened(data) as files:
        for name, hint in hints.items():
            with pytest.raises(UnknownColumn) as raised:
                plan(files, source(), 1000, uses=uses_of(name))
            assert raised.value.detail.endswith(f'the data has "Report generated", "2024-05-01"{hint}')
    with opened(workbook(["a"], [1])) as files, pytest.raises(UnknownColumn, match=r'the data has "a"$'):
        plan(files, source(), 1000, uses=uses_of("Year"))


def test_names_are_needed_only_where_a_column_is_used():
    data = workbook(["a", None, "a", 2024], [1, 2, 3, 4])
    with opened(data) as files:
        assert plan(files, source(), 1000, uses=uses_of("c2", "2024")).schema.names == ["c2", "2024"]
        with pytest.raises(SchemaConflict, match='the columns 1, 3 have the name "a"'):
            plan(files, source(), 1000, uses=uses_of("a"))


def test_a_merged_cell_has_its_value_in_the_first_of_its_cells():
    assert rows(workbook(["a", "b"], ["x", 1], [None, 2], merge="A2:A3")) == [("x", 1), (None, 2)]


def test_what_is_no_workbook_or_a_damaged_one_is_corrupt():
    data = workbook(["a"], [1])
    at = data.index(b"xl/worksheets/sheet1.xml") + 40
    damaged = data[:at] + b"\xff" * 20 + data[at + 20 :]
    with pytest.raises(CorruptFile, match="file:///data/t0: "):
        rows(damaged)
    broken = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(broken, "w") as new:
        for info in old.infolist():
            is_sheet = info.filename.startswith("xl/worksheets/")
            new.writestr(info.filename, old.read(info)[:150] if is_sheet else old.read(info))
    with pytest.raises(CorruptFile, match="the workbook cannot be read"):
        rows(broken.getvalue())


def test_a_cell_far_outside_is_refused_before_memory_is_spent():
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "a", 1
    out = io.BytesIO()
    book.save(out)
    with pytest.raises(LimitExceeded, match="spans 17,179,869,184 cells"):
        schema_of(out.getvalue())
