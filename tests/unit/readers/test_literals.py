import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.spec.source import CsvOptions, SourceSpec
from shared.spec.types import Field, parse_type
from worker_service.readers.literals import converted


def local(*parts):
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)


def column(kind, *, declared=False):
    return Field("x", parse_type(kind), declared)


def source(types=None, *, zone="UTC", ambiguous="bad_row", **csv):
    return SourceSpec(
        uris=("file:///data/t0",),
        csv=CsvOptions(**csv),
        types=types or {},
        timezone=zone,
        ambiguous_times=ambiguous,
    )


def convert(texts, field, zone="UTC", ambiguous="bad_row"):
    return converted(texts, field, source(zone=zone, ambiguous=ambiguous))


def fits(texts, field, zone="UTC"):
    return convert(texts, field, zone).misfits is None


def accepted(text, kind, *, declared=False):
    return fits(pa.array([text]), column(kind, declared=declared), "Asia/Seoul")


def value(text, kind, *, declared=False, zone="Asia/Seoul"):
    return convert(pa.array([text]), column(kind, declared=declared), zone).values[0].as_py()


VALID = {
    "bool": {"true": True, "FALSE": False, "tRuE": True},
    "int64": {"0": 0, "-0": 0, "7": 7, "-15": -15, "9223372036854775807": 2**63 - 1,
        "-9223372036854775808": -(2**63)},
    "float64": {"0": 0.0, "7": 7.0, "1.5": 1.5, "-1.5e3": -1500.0, ".5": 0.5, "5.": 5.0, "1E-05": 1e-5,
        "inf": float("inf"), "-Infinity": -float("inf"), "0.10": 0.1, "-0.5": -0.5, "0e0": 0.0,
        "1e300": 1e300, "9007199254740992": 2.0**53},
    "decimal(6,2)": {"1.5": Decimal("1.50"), "-1234.56": Decimal("-1234.56"), "0": Decimal("0.00"),
        "1.500": Decimal("1.50"), ".5": Decimal("0.50")},
    "date": {"2024-02-29": date(2024, 2, 29), "0001-01-01": date(1, 1, 1), "9999-12-31": date(9999, 12, 31)},
    "timestamp": {
        "2024-01-02": local(2024, 1, 2), "2024-01-02 03:04": local(2024, 1, 2, 3, 4),
        "2024-01-02T03:04:05": local(2024, 1, 2, 3, 4, 5),
        "2024-01-02 03:04:05.1": local(2024, 1, 2, 3, 4, 5, 100000),
        "2024-01-02T03:04:05.123456": local(2024, 1, 2, 3, 4, 5, 123456),
    },
    "timestamptz": {
        "2024-01-02T03:04Z": datetime(2024, 1, 2, 3, 4, tzinfo=UTC),
        "2024-01-02 03:04:05.5+09:00": datetime(2024, 1, 1, 18, 4, 5, 500000, UTC),
        "2024-01-02T03:04:05-0930": datetime(2024, 1, 2, 12, 34, 5, tzinfo=UTC),
        "2024-01-02T03:04:05+09": datetime(2024, 1, 1, 18, 4, 5, tzinfo=UTC),
    },
}  # fmt: skip
INVALID = {
    "bool": ["1", "0", "t", "yes", " true", ""],
    "int64": ["007", "-07", "+5", " 5", "5 ", "\t5", "0x1F", "0x3FFFFFFFFF", "1e3", "5.", "1.0", "", "-",
        "--5", "9223372036854775808", "1_000", "١", "00"],
    "float64": ["007", "007.5", "-00.5", "+1.5", " 1", "1 ", "1e400", "-1e400", "nan(1)", "0x1p3", "1_0",
        "1d5", ".", "e5", "-", "+nan", "infi", "00", "1,5"],
    "decimal(6,2)": ["1.505", "123456", "1e2", "1E-1", "+1", "007.1", "NaN", " 1", "0x1", ""],
    "date": ["2024-1-2", "20240102", "2024-02-30", "0000-01-01", "10000-01-01", " 2024-01-02",
        "2024-01-02T00:00", "2024/01/02"],
    "timestamp": ["2024-01-02 03", "2024-01-02 0304", "2024-01-02 030405.1", "2024-01-02 03:04Z",
        "2024-01-02 24:00", "2024-01-02 23:59:60", "2024-01-02 03:04:05.", "2024-01-02 03:04:05.1234567",
        " 2024-01-02"],
    "timestamptz": ["2024-01-02 03:04", "2024-01-02", "2024-01-02Z", "2024-01-02 03Z", "2024-01-02 03+0900",
        "2024-01-02T03:04:05z", "2024-01-02T03:04 +09:00", "2024-01-02T03:04+25:00"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in VALID.items() for text in texts])
def test_a_literal_of_a_type_has_its_value(kind, text):
    assert value(text, kind) == VALID[kind][text]


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in INVALID.items() for text in texts]
)
def test_what_is_not_a_literal_of_a_type_is_refused_alone_and_between_literals(kind, text):
    assert not accepted(text, kind)
    good = next(iter(VALID[kind]))
    found = convert(pa.array([good, None, text, good]), column(kind), "UTC")
    assert found.misfits.tolist() == [False, False, True, False]
    assert found.values.to_pylist()[1:] == [None, None, found.values[0].as_py()]


def test_nan_is_a_float_in_any_case():
    for text in ("nan", "NaN", "-nan"):
        assert value(text, "float64") != value(text, "float64")


def test_an_integer_that_no_double_holds_fits_float64_only_if_the_user_said_so():
    assert not accepted("9007199254740993", "float64")
    assert accepted("9007199254740993", "float64", declared=True)
    assert accepted("9007199254740992", "float64")
    assert accepted("1" + "0" * 22, "float64")


def test_nulls_stay_null_in_every_type():
    for kind in VALID:
        assert convert(pa.array([None, None], pa.string()), column(kind), "UTC").values.to_pylist() == [
            None,
            None,
        ]
        assert convert(pa.array([], pa.string()), column(kind), "UTC").values.to_pylist() == []


def test_a_naive_text_in_a_declared_timestamptz_column_is_in_the_sources_zone_beside_texts_with_offsets():
    texts = pa.array(["2024-01-02 09:00", "2024-01-02T00:00Z", None, "2024-01-02"])
    noon = datetime(2024, 1, 2, tzinfo=UTC)
    assert convert(texts, column("timestamptz", declared=True), "Asia/Seoul").values.to_pylist() == [
        noon,
        noon,
        None,
        noon - timedelta(hours=9),
    ]


TWICE = {
    "America/New_York": ["2024-11-03 01:30", "2040-11-04 01:30"],
    "Australia/Lord_Howe": ["2024-04-07 01:45", "2040-04-01 01:45"],
}
SKIPPED = {
    "America/New_York": ["2024-03-10 02:30", "2040-03-11 02:30"],
    "Australia/Lord_Howe": ["2024-10-06 02:15", "2040-10-07 02:15"],
    "Pacific/Apia": ["2011-12-30 12:00"],
}


@pytest.mark.parametrize("zone", list(TWICE))
def test_a_local_time_that_clocks_show_twice_is_a_misfit_unless_the_spec_says_which_one_counts(zone):
    once = "2024-07-01 12:00"
    for text in TWICE[zone]:
        texts = pa.array([once, text, None, once])
        found = convert(texts, column("timestamptz", declared=True), zone)
        assert found.misfits.tolist() == [False, True, False, False]
        assert [value is None for value in found.values.to_pylist()] == [False, True, True, False]
        for fold, ambiguous in enumerate(("earliest", "latest")):
            wanted = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)
            found = convert(texts, column("timestamptz", declared=True), zone, ambiguous)
            assert found.misfits is None
            assert found.values[1].as_py() == wanted


@pytest.mark.parametrize("zone", list(SKIPPED))
def test_a_local_time_that_clocks_skip_is_a_misfit_whatever_the_spec_says(zone):
    for ambiguous in ("bad_row", "earliest", "latest"):
        texts = pa.array(["2024-07-01 12:00", *SKIPPED[zone], "2024-07-01 12:00Z"])
        found = convert(texts, column("timestamptz", declared=True), zone, ambiguous)
        assert found.misfits.tolist() == [False, *(True for _ in SKIPPED[zone]), False]


@pytest.mark.parametrize(
    "zone",
    [
        "America/New_York",
        "Europe/Berlin",
        "Europe/Dublin",
        "Australia/Lord_Howe",
        "Asia/Seoul",
        "Africa/Casablanca",
    ],
)
def test_a_local_time_is_its_moment_in_every_year_also_after_the_last_change_that_is_listed_for_its_zone(
    zone,
):
    texts = [
        f"{year:04}-{month:02}-15 12:00"
        for year in (1, 1900, 1985, 2024, 2036, 2037, 2038, 2040, 2101, 9998)
        for month in range(1, 13)
    ]
    wanted = [datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for text in texts]
    found = convert(pa.array([*texts, None, *texts]), column("timestamptz", declared=True), zone)
    assert found.values.to_pylist() == [*wanted, None, *wanted]


def test_years_end_in_utc():
    assert fits(pa.array(["9999-12-31 18:59"]), column("timestamptz", declared=True), "America/New_York")
    texts = pa.array(["9999-12-31 19:00", "2024-01-01"])
    found = convert(texts, column("timestamptz", declared=True), "America/New_York")
    assert found.misfits.tolist() == [True, False]


GRAMMAR = {
    "int64": re.compile(r"-?(0|[1-9][0-9]*)"),
    "float64": re.compile(
        r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|-?(nan|inf|infinity)", re.IGNORECASE
    ),
    "decimal(38,19)": re.compile(r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)"),
}


@pytest.mark.parametrize("kind", list(GRAMMAR))
@given(
    st.lists(
        st.text("0123456789.-+eExX naif", min_size=1, max_size=7)
        | st.integers(-99, 10**9).map(str)
        | st.floats(-1e6, 1e6).map(repr),
        min_size=1,
        max_size=4,
    )
)
def test_a_column_of_numbers_is_accepted_exactly_if_every_text_matches_the_documented_grammar(kind, texts):
    expected = all(GRAMMAR[kind].fullmatch(text) for text in texts)
    assert fits(pa.array(texts), column(kind, declared=True), "UTC") == (
        expected and all(not overflows(text, kind) for text in texts)
    )


def overflows(text, kind):
    if kind == "float64":
        return "n" not in text.lower() and abs(float(text)) == float("inf")
    return kind.startswith("decimal") and Decimal(text).normalize().as_tuple().exponent < -19


@given(st.lists(st.none() | st.floats(), min_size=1))
def test_floats_as_python_writes_them_are_read_bit_for_bit(numbers):
    texts = pa.array([None if x is None else repr(x) for x in numbers], pa.string())
    found = convert(texts, column("float64"), "UTC")
    assert list(map(repr, found.values.to_pylist())) == list(map(repr, numbers))
