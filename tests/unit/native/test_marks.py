"""Values with marks of their own: the library takes them for the values of the plain path and of Decimal."""

import json
import random
from decimal import Decimal

import pytest

from shared.spec.types import Field, parse_type
from tests.support.datasets import source
from tests.support.native import needs_library
from tests.support.native_csv import same
from tests.support.texts import texts
from worker_service.readers.csv.native import refused

pytestmark = needs_library

NBSP, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"
HOW = {
    "dollars": {"strip": "$ €", "thousands": ","},
    "euros": {"strip": "€ " + NBSP, "decimal": ",", "thousands": "."},
    "spaces": {"decimal": ",", "thousands": NBSP, "null_values": ["€", "1"]},
    "signs": {"strip": "$", "thousands": "'", "negative": ["-5", "(5)", "5-", f"{MINUS}5"]},
    "around": {"negative": ["-5", "(5)"]},
    "behind": {"thousands": ",", "negative": ["-5", "5-"]},
    "other": {"strip": "$", "negative": ["(5)"]},
    "letters": {"strip": "USDe?", "thousands": " "},
}
PIECES = ["-", "-", "$", " ", "€", NBSP, "1", "12", "123", "123", "0", "000", "45", ",", ",", ".", ".", "'",
          "e5", "(", ")", "+", "%", MINUS, "NA", "?", "é", '"', "USD", "nan", "\0", "\udcff",
          "x" * 60]  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """How many texts the library has refused of each window."""
    found, decide = [], refused.Refusals.decide

    def watched(self, odd):
        found.append(odd.size)
        return decide(self, odd)

    monkeypatch.setattr(refused.Refusals, "decide", watched)
    return found


def file_of(cells):
    """CSV in which each cell is the first and the last field of a line, quoted or not."""
    lines = ["x,n,y"]
    for i, cell in enumerate(cells):
        quoted = '"' + cell.replace('"', '""') + '"'
        bare = quoted if i % 2 or set(cell) & set(',"\n') else cell
        lines.append(f"{bare},{i},{quoted if i % 3 else bare}")
    return ("\n".join(lines) + "\n").encode(errors="surrogateescape")


def fields(kind):
    return [Field(name, parse_type(kind), declared=True) for name in "xy"]


def spec_of(kind, how, **csv):
    return source({name: {"type": kind, **how} for name in "xy"}, delimiter=",", **csv)


def mixed(chance):
    return "".join(chance.choices(PIECES, k=chance.randint(0, 6)))


def grouped(chance):
    """Groups of digits of about the right sizes, with marks of one kind and signs."""
    mark, point = chance.choice([",.", ".,", "'.", " ,", NBSP + ","])
    sizes = [chance.randint(1, 3), *chance.choices([2, 3, 3, 3, 3, 4], k=chance.randint(0, 4))]
    text = mark.join("".join(chance.choices("0123456789", k=size)) for size in sizes)
    text += chance.choice(["", "", point, point + "5", point + "25", point + "1" + mark + "000", "e3"])
    before, behind = chance.choice([("", ""), ("-", ""), ("(", ")"), ("", "-"), (MINUS, ""), ("+", "")])
    noise = chance.choice(["", "", "$", "€", " ", "$ "])
    return (
        chance.choice([noise + before, before + noise])
        + text
        + chance.choice([behind, noise + behind, behind + noise])
    )


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("kind", ["int64", "float64", "decimal(18,2)"])
def test_both_paths_read_any_marks_the_same(kind, how):
    chance = random.Random(f"{kind} {how}")
    odd = [*(mixed(chance) for _ in range(60)), *(grouped(chance) for _ in range(80)), *texts(kind, 30)]
    good = ["5"] * 9 * len(odd)  # fewer bad rows would send the block the plain way
    cells = chance.sample([*odd, *good], len(odd) + len(good))
    for nulls in [(), ("NA", "$", "1")]:
        same(file_of(cells), fields(kind), spec_of(kind, how, null_values=nulls), batch_bytes=3000, errors=0)


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("kind", ["int64", "float64", "decimal(18,2)"])
def test_many_more_texts_with_marks(kind, how):
    chance = random.Random(f"{kind} {how} more")
    for _ in range(20):
        odd = [chance.choice([mixed, grouped])(chance) for _ in range(1000)]
        data = file_of([cell for each in odd for cell in [each, *["5"] * 9]])
        same(data, fields(kind), spec_of(kind, how), batch_bytes=3000, errors=0)


@pytest.mark.parametrize("quoted", [True, False])
def test_usual_marks_are_taken_and_have_the_value_of_decimal(quoted, asked):
    chance, spellings = random.Random(5), []
    values = [
        Decimal(chance.randint(-(10 ** chance.randint(1, 14)), 10 ** chance.randint(1, 14))).scaleb(-2)
        for _ in range(1000)
    ]
    for value in values:
        usual = f"{abs(value):,.2f}".replace(",", "'")
        styles = [f"-${usual}", f"$-{usual}", f"(${usual})", f"{usual}-", f"$({usual})", f"-$ {usual} "]
        spellings.append(
            chance.choice(styles) if value < 0 else chance.choice([f"${usual}", usual, f" {usual} $"])
        )
    how = {"strip": "$ ", "thousands": "'", "negative": ["-5", "(5)", "5-"]}
    data = file_of(spellings) if quoted else file_of([text for text in spellings if "," not in text])
    told = same(data, fields("decimal(18,2)"), spec_of("decimal(18,2)", how))
    for name in "xy":
        assert told[0]["columns"][name][1] == [repr(value) for value in values]
    assert not asked


def test_groups_of_two_digits_as_in_india_are_taken(asked):
    how, cells = {"thousands": ","}, ["12,34,567", "1,23,45,678", "1,234", "12,345,678"]
    [told] = same(file_of(cells * 50), fields("int64"), spec_of("int64", how))
    assert told["columns"]["x"][1] == ["1234567", "12345678", "1234", "12345678"] * 50
    assert not asked


STRIPPED = {
    "bool": ("<>", ["<true>", "false", "<<FALSE>", ">True", "<>", "<yes>", "t<rue"]),
    "date": ("T(Z", ["(2024-02-29", "2024-02-29T", "T2024-02-30", "ZZ", "2024-02-29TT00:00Z"]),
    "timestamp": ("[]", ["[2024-02-29 10:11:12.5]", "2024-02-29]", "[]", "[2024-02-29 25:00]"]),
    "timestamptz": ("[]é", ["é2024-02-29 10:11+01:00]", "2024-02-29 10:00é", "é"]),
}


@pytest.mark.parametrize("kind", STRIPPED)
def test_characters_around_other_types(kind):
    strip, cells = STRIPPED[kind]
    good = [cells[0]] * 90
    same(file_of([*cells, "", "-", *good]), fields(kind), spec_of(kind, {"strip": strip}), errors=0)


def test_the_mark_of_the_file_is_for_columns_without_a_type_too(asked):
    data = file_of(["1,234.5", "7", "1,234,567"] * 50)
    undeclared = [Field("x", parse_type("float64")), Field("y", parse_type("float64"), key=True)]
    same(data, undeclared, source(delimiter=",", thousands=","))
    [told] = same(data, undeclared[:1], source(delimiter=",", thousands=","))
    assert told["columns"]["x"][1] == ["1234.5", "7.0", "1234567.0"] * 50
    assert asked == []


@pytest.mark.parametrize("how", [*HOW.values(), {"strip": "$"}], ids=[*HOW, "strip"])
def test_marks_in_ndjson(how):
    chance = random.Random(f"{how}")
    values = [chance.choice([mixed, grouped])(chance) for _ in range(60)]
    values = [value.encode(errors="replace").decode().replace("\0", "") for value in values]
    values += [5, -7, 1.5, 1e5, None, True, 1234]
    lines = [json.dumps({"x": value, "y": "5"}, ensure_ascii=chance.random() < 0.3) for value in values]
    usual = [json.dumps({"x": "5", "y": "7"})] * 9
    data = "\n".join(line for each in lines for line in [each, *usual]).encode() + b"\n"
    for kind in ("int64", "decimal(18,2)", "float64"):
        spec = source({name: {"type": kind, **how} for name in "xy"}, file_format="ndjson")
        same(data, fields(kind), spec, batch_bytes=5000, errors=0)
