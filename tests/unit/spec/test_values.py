from datetime import timedelta
from pathlib import Path

import pytest

from shared.spec.buckets import bucket_width
from shared.spec.faults import pointer
from shared.spec.names import closest, quote
from shared.spec.uris import check_uri, file_path
from shared.spec.values import parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", {"seconds": 90}), ("15m", {"minutes": 15}), ("1h", {"hours": 1}), ("30d", {"days": 30})],
)
def test_a_duration_is_a_number_and_a_unit(text, length):
    assert parse_duration(text) == timedelta(**length)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0s",
        "01h",
        "1",
        "h",
        "1.5h",
        "-1h",
        "1 h",
        "1H",
        "1w",
        "1mo",
        "1h30m",
        "PT1H",
        "1h\n",
        "9999999999d",
        "٣h",
        "3651d",
    ],
)
def test_durations_are_written_one_way(text):
    with pytest.raises(ValueError, match="90s, 15m, 1h or 30d"):
        parse_duration(text)


def test_a_bucket_divides_a_day_or_is_a_unit_of_the_calendar():
    for text in ("30s", "90s", "15m", "45m", "90m", "1h", "6h", "12h", "1d", "1w", "1mo", "1q", "1y"):
        assert bucket_width(text) == text
    for text in ("7m", "5h", "0m", "25h", "2w", "2d", "1.5h", "1h ", "1s\n", "", "٣h"):
        with pytest.raises(ValueError, match="is no width of a time bucket; a time bucket is 1d, 1w, 1mo"):
            bucket_width(text)


@pytest.mark.parametrize(
    ("tried", "meant"),
    [
        ("24h", "1d"),
        ("7d", "1w"),
        ("1M", "1mo"),
        ("month", "1mo"),
        ("3mo", "1q"),
        ("12mo", "1y"),
        ("Day", "1d"),
    ],
)
def test_a_width_of_other_tools_gets_a_guess(tried, meant):
    with pytest.raises(ValueError, match=f'did you mean "{meant}"'):
        bucket_width(tried)


@pytest.mark.parametrize(
    "uri",
    [
        "upload:upl_01h",
        "file:///data/*.csv.gz",
        "file:///a b/한글.csv",
        "file:///100%25.csv",
        "s3://bucket/key",
        "https://h/x?y",
    ],
)
def test_sources_are_uris(uri):
    assert check_uri(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "data.csv",
        "/data/a.csv",
        "C:\\data.csv",
        "upload:",
        "upload:../x",
        "upload:a/b",
        "file:",
        "file:a.csv",
        "file:/data/a.csv",
        "file://host/a.csv",
        "file://localhost/a.csv",
        "file:///",
        "file:///data/",
        "file:///data/..",
        "file:///data/../etc/passwd",
        "file:///data/%2e%2e/etc/passwd",
        "file:///data/%2E./x",
        "file:///data/a\0.csv",
        "file:///data/a%00.csv",
        "file:///data/a\n.csv",
        "file:///data/%ff.csv",
        "file:///" + "a" * 5000,
    ],
)
def test_a_uri_of_no_source_is_refused_without_repeating_it(uri):
    with pytest.raises(ValueError) as caught:
        check_uri(uri)
    assert len(uri) < 14 or uri not in str(caught.value)


def test_a_file_uri_stands_for_the_path_that_pathlib_wrote_it_for():
    path = Path("/data/50% off/한글 &.csv")
    assert file_path(path.as_uri()) == str(path)


def test_two_dots_inside_a_name_are_no_step_upwards():
    assert file_path("file:///data/a..b/..c.csv") == "/data/a..b/..c.csv"


def test_guesses_go_by_other_names_first_then_by_spelling():
    assert closest("avg", ["mean", "max"], {"avg": "mean"}) == "mean"
    assert closest("Carier", ["month", "Carrier"]) == "Carrier"
    assert closest("altogether", ["month", "carrier"]) is None


def test_pointers_escape_characters_that_would_change_their_meaning():
    assert pointer("types", "a/b~c", 0) == "#/types/a~1b~0c/0"
    assert pointer() == "#"


def test_quotes_are_cut():
    assert quote('say "x"') == '"say \\"x\\""'
    assert len(quote("x" * 1000)) < 50
