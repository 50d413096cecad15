"""The clocks of zones are those of zoneinfo, from the year 1 to 9999."""

import datetime as dt
import random
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from tests.support.native import PATHS, path
from worker_service.kernels.clocks import local_times, moments_of, offsets

ZONES = [
    "Europe/Berlin",
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Apia",  # a day that never was
    "Africa/Casablanca",  # lists its changes until 2087
    "America/St_Johns",
    "UTC",
]
EPOCH, MICROSECOND = dt.datetime.fromtimestamp(0, dt.UTC), dt.timedelta(microseconds=1)


def moments():
    """Random ones of all years, and more of those in which clocks change often.

    They are so few that each is looked up by itself.
    """
    chance = random.Random(7)
    ranges = [(-62_135_400_000, 253_402_200_000)] * 300 + [(-2_000_000_000, 4_200_000_000)] * 1200
    return np.array([chance.randrange(*years) * 10**6 + chance.randrange(10**6) for years in ranges])


@pytest.mark.parametrize("zone", ZONES)
def test_offsets_are_those_of_zoneinfo(zone):
    found, rule = moments(), ZoneInfo(zone)
    theirs = [
        (EPOCH + each * MICROSECOND).astimezone(rule).utcoffset() // MICROSECOND for each in found.tolist()
    ]
    assert offsets(found, zone).tolist() == theirs
    array = pa.array([*found.tolist(), None], pa.timestamp("us", tz="UTC"))
    assert local_times(array, zone).cast(pa.int64()).to_pylist() == [*(found + theirs).tolist(), None]


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize("zone", [*ZONES, "Africa/Monrovia"])
@pytest.mark.parametrize("year", [1883, 1971, 2010, 2036])
def test_many_moments_of_a_few_years_have_the_same_offsets(year, zone, setting):
    """Clocks change on a full second, and each is looked at from both sides."""
    start = dt.datetime(year, 6, 1, tzinfo=dt.UTC)
    hourly = [start + dt.timedelta(hours=step) for step in range(20_000)]
    rule = ZoneInfo(zone)
    changes = [
        change
        for a, b in pairwise(hourly)
        if a.astimezone(rule).utcoffset() != b.astimezone(rule).utcoffset()
        for change in (a + dt.timedelta(seconds=second) for second in range(0, 3601, 5))
    ]
    hourly += [change - beside for change in changes for beside in (MICROSECOND, MICROSECOND * 0)]
    found = np.array([(each - EPOCH) // MICROSECOND for each in hourly])
    theirs = [each.astimezone(rule).utcoffset() // MICROSECOND for each in hourly]
    with path(setting):
        assert offsets(found, zone).tolist() == theirs


@pytest.mark.parametrize("zone", ZONES)
def test_local_times_lead_back_to_their_moments(zone):
    found, rule = moments(), ZoneInfo(zone)
    local = found + offsets(found, zone)
    back = moments_of(local, zone)
    assert back.shown.all()
    for shown, earlier, later in zip(local.tolist(), back.earlier.tolist(), back.later.tolist(), strict=True):
        naive = (EPOCH + shown * MICROSECOND).replace(tzinfo=None)
        theirs = [naive.replace(tzinfo=rule, fold=fold).astimezone(dt.UTC) for fold in (0, 1)]
        assert [earlier, later] == [(each - EPOCH) // MICROSECOND for each in theirs]
