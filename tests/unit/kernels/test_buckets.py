"""Time buckets against zoneinfo, one time after the other, and against pandas."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.spec.buckets import CALENDAR, bucket_seconds
from shared.spec.query import Bucketing
from shared.spec.types import DATE, TIMESTAMP, TIMESTAMPTZ
from tests.support.native import PATHS, path
from worker_service.kernels.buckets import bucketed

ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Africa/Casablanca",
    "America/Scoresbysund",
    "Asia/Seoul",
    "Africa/Monrovia",
)
CHANGES = (
    "2024-03-10T07:00",  # New York goes forward
    "2024-11-03T06:00",  # and back
    "2024-10-05T15:30",  # Lord Howe goes forward by half an hour
    "2024-04-06T15:00",  # and back
    "2011-12-30T10:00",  # Apia skips a day
    "2018-02-18T02:00",  # Sao Paulo goes back at midnight
    "2018-11-04T03:00",  # and forward
    "2024-03-31T01:00",  # Berlin goes forward, Scoresbysund changes its zone
    "1883-11-18T17:00",  # New York leaves its local mean time
    "2087-05-11T02:00",  # Casablanca's last listed change
    "2440-11-06T06:00",  # by rule
    "1972-01-07T00:44",  # Monrovia leaves an offset of seconds
)
WIDTHS = ("1s", "15m", "45m", "1h", "90m", "2h", "6h", "12h", *CALENDAR)
moments = st.one_of(
    st.builds(
        lambda change, around: datetime.fromisoformat(f"{change}:00+00:00") + timedelta(microseconds=around),
        st.sampled_from(CHANGES),
        st.integers(-(10**11), 10**11),
    ),
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
)


def buckets(times, width, of=TIMESTAMPTZ, zone=None):
    kind = {TIMESTAMPTZ: pa.timestamp("us", tz="UTC"), TIMESTAMP: pa.timestamp("us"), DATE: pa.date32()}[of]
    values, bad = bucketed(pa.array(times, kind), Bucketing(column="t", of=of, width=width, zone=zone))
    return values.to_pylist(), [] if bad is None else bad.tolist()


def first_day(day: date, width: str) -> date:
    match width:
        case "1w":
            return day - timedelta(days=day.weekday())
        case "1mo":
            return day.replace(day=1)
        case "1q":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "1y":
            return day.replace(month=1, day=1)
    return day


def first_shown(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which clocks show *local*, or skip it; found by trying, to the second."""
    found = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local:
        return found
    low, high = found - timedelta(days=2), found + timedelta(days=2)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        past = middle.astimezone(zone).replace(tzinfo=None) >= local
        low, high = (low, middle) if past else (middle, high)
    return high


def expected(moment: datetime, width: str, zone: ZoneInfo) -> datetime | date:
    local = moment.astimezone(zone).replace(tzinfo=None)
    if (seconds := bucket_seconds(width)) is None:
        return first_day(local.date(), width)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    past = (local - midnight) % timedelta(seconds=seconds)
    return moment - past if seconds <= 3600 else first_shown(local - past, zone)


@settings(max_examples=300)
@given(st.lists(moments, min_size=1, max_size=8), st.sampled_from(ZONES), st.sampled_from(WIDTHS))
def test_a_moment_is_in_the_bucket_that_the_clocks_of_the_zone_say(times, zone, width):
    found, bad = buckets([*times, None], width, zone=zone)
    assert found == [*(expected(time, width, ZoneInfo(zone)) for time in times), None]
    assert not bad


@pytest.mark.parametrize(
    ("moment", "zone", "width", "bucket"),
    [
        # each of the two hours from 1 to 2 is a bucket of its own
        ("2024-11-03T05:30", "America/New_York", "1h", "2024-11-03T05:00"),
        ("2024-11-03T06:30", "America/New_York", "1h", "2024-11-03T06:00"),
        # but they are in one bucket of two hours, which begins at local midnight
        ("2024-11-03T06:30", "America/New_York", "2h", "2024-11-03T04:00"),
        # clocks skip the midnight at which the bucket would begin
        ("2018-11-04T03:30", "America/Sao_Paulo", "12h", "2018-11-04T03:00"),
        ("2024-01-01T00:10", "Asia/Kolkata", "1h", "2023-12-31T23:30"),
    ],
)
def test_buckets_over_clock_changes(moment, zone, width, bucket):
    [found], _ = buckets([datetime.fromisoformat(f"{moment}:00+00:00")], width, zone=zone)
    assert found == datetime.fromisoformat(f"{bucket}:00+00:00")


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize("width", ["15m", "6h", *CALENDAR])
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        *zip(ZONES[1:], ("2024-11-03", "2024-03-31", "1945-09-01", "2024-04-06", "2011-12-30"), strict=False),
        ("UTC", "1970-01-01"),
        ("America/Sao_Paulo", "2018-11-04"),
        ("America/Sao_Paulo", "2018-02-18"),
        ("America/St_Johns", "2009-11-01"),  # a minute after midnight clocks go back to October
        ("America/St_Johns", "2010-11-07"),
        ("Africa/Monrovia", "1972-01-07"),
        ("America/New_York", "2040-11-04"),
    ],
)
def test_many_times_around_a_change_are_in_the_same_buckets(zone, change, width, setting):
    middle = datetime.fromisoformat(f"{change}T00:00:00+00:00")
    times = [middle + timedelta(minutes=13 * step, microseconds=step % 3 - 1) for step in range(-1100, 1100)]
    times += [middle + timedelta(seconds=20 * step) for step in range(4320)]
    with path(setting):
        found, bad = buckets([*times, None] if width == "1d" else times, width, zone=zone)
    assert not bad
    assert found[: len(times)] == [expected(time, width, ZoneInfo(zone)) for time in times]


@pytest.mark.parametrize("setting", PATHS)
def test_a_bad_bucket_among_many_times_is_found(setting):
    first = datetime(1, 1, 1, 5, tzinfo=UTC)
    with path(setting):
        found, bad = buckets([first, first + timedelta(hours=12)] * 50, "1d", zone="Pacific/Honolulu")
    assert bad == [True, False] * 50
    assert found[0] is None
    assert found[1] == date(1, 1, 1)


@pytest.mark.parametrize("width", ["15m", "6h", *CALENDAR])
def test_a_time_without_a_zone_is_cut_as_it_stands(width):
    times = pd.Series(pd.date_range("1901-02-28 23:59:59.999999", periods=400, freq="3671h7min"))
    if width in CALENDAR:
        period = {"1d": "D", "1w": "W-SUN", "1mo": "M", "1q": "Q", "1y": "Y"}[width]
        want = times.dt.to_period(period).dt.start_time.dt.date
        days, _ = buckets(times.dt.date.tolist(), width, of=DATE)
        assert days == want.tolist()
    else:
        want = times.dt.floor(width.replace("m", "min")).dt.to_pydatetime()
    found, _ = buckets(times.dt.to_pydatetime().tolist(), width, of=TIMESTAMP)
    assert found == list(want)


@pytest.mark.parametrize(
    ("moment", "zone", "width", "bad"),
    [
        (datetime(1, 1, 1, tzinfo=UTC), "America/New_York", "1h", True),
        (datetime(1, 1, 1, tzinfo=UTC), "America/New_York", "1y", True),
        (datetime(1, 1, 1, tzinfo=UTC), "Asia/Kolkata", "1y", False),
        (datetime(9999, 12, 31, 23, 30, tzinfo=UTC), "Asia/Kolkata", "6h", False),
        (datetime(9999, 12, 31, 23, 30, tzinfo=UTC), "Asia/Kolkata", "1d", True),
        (datetime(9999, 12, 31, 23, 30, tzinfo=UTC), "America/New_York", "1d", False),
    ],
)
def test_a_bucket_beyond_the_years_1_to_9999_is_bad(moment, zone, width, bad):
    sound = datetime(2024, 1, 1, tzinfo=UTC)
    found, wrong = buckets([moment, None, sound], width, zone=zone)
    assert wrong == ([True, False, False] if bad else [])
    assert [value is None for value in found] == [bad, True, False]
