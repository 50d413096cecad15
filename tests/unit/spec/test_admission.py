"""The checks of a new job's spec that a stored one need not pass."""

import json
from zoneinfo import available_timezones

import pytest

from shared.errors import InvalidSpec
from shared.spec.admission import MAX_TYPES, Ceilings, check_admission
from shared.spec.models import JobSpec

CEILINGS = Ceilings(
    max_groups=10**8,
    max_bytes=10**12,
    max_chunks=10**5,
    max_state_bytes=10**11,
    min_chunk_bytes=10**4,
    max_bad_rows=10**5,
)
ODD = {"Factory", "localtime", "posixrules"}


def refused(spec) -> dict[str, str]:
    try:
        check_admission(JobSpec.model_validate_json(json.dumps(spec)), CEILINGS)
    except InvalidSpec as error:
        return {e["pointer"]: e["detail"] for e in error.errors}
    return {}


def zoned(body, zone):
    return body(source={"uris": ["upload:u"], "timezone": zone})


def test_every_zone_of_the_iana_database_is_taken(body):
    zones = available_timezones() - ODD
    assert len(zones) > 400
    assert [zone for zone in zones if refused(zoned(body, zone))] == []


@pytest.mark.parametrize("zone", ["Factory", "posixrules", "localtime", "right/UTC", "posix/Asia/Seoul"])
def test_names_that_only_some_machines_have_are_refused(body, zone, monkeypatch):
    monkeypatch.setattr(
        "shared.spec.values.ZoneInfo", lambda name: type("Zone", (), {"key": name})
    )  # a machine that has them
    found = refused(zoned(body, zone))
    assert list(found) == ["#/source/timezone"]
    assert f'"{zone}" is no zone of the IANA database' in found["#/source/timezone"]
    buckets = refused(body(group_by=[{"time_bucket": "1h", "column": "t", "tz": zone}]))
    assert list(buckets) == ["#/group_by/0/tz"]


@pytest.mark.parametrize(
    "zone",
    [
        "/etc/passwd",
        "../UTC",
        "Asia/../UTC",
        "./UTC",
        "America",
        "zone.tab",
        "Asia/Seoul/",
        "",
        "A" * 10_000,
        "UTC\n",
    ],
)
def test_a_name_of_no_zone_is_refused_by_the_spec_itself(reject, body, zone):
    assert list(reject(zoned(body, zone))) == ["#/source/timezone"]


def test_a_stored_spec_is_read_even_past_the_ceilings_of_today(body):
    """Its limits are above every ceiling, its chunks below the floor, its zone an odd one."""
    spec = body(
        limits={"max_chunks": 10**12, "max_groups": 2**62},
        options={"chunk_bytes": 1},
        source={"uris": ["upload:u"], "timezone": "GMT"},
    )
    assert JobSpec.model_validate(spec).limits.max_chunks == 10**12
    assert set(refused(spec)) == {"#/limits/max_chunks", "#/limits/max_groups", "#/options/chunk_bytes"}


def test_all_that_a_server_does_not_take_is_told_at_once_with_both_numbers(body):
    spec = body(
        source={"uris": ["upload:u"], "types": {f"c{no}": "int64" for no in range(MAX_TYPES + 1)}},
        limits={"max_groups": 10**9, "max_bytes": 10**13, "max_chunks": 10**6, "max_state_bytes": 10**12},
        options={"chunk_bytes": 9_999},
    )
    least, most = "the least that this server takes", "the most that this server takes"
    assert refused(spec) == {
        "#/source/types": "at most 10,000 columns, not 10,001",
        "#/options/chunk_bytes": f"9,999 is less than 10,000, {least} (GRISTMILL_MIN_CHUNK_BYTES)",
        "#/limits/max_groups": f"1,000,000,000 is more than 100,000,000, {most} (GRISTMILL_MAX_GROUPS)",
        "#/limits/max_bytes": f"{10**13:,} is more than 1,000,000,000,000, {most} (GRISTMILL_MAX_BYTES)",
        "#/limits/max_chunks": f"1,000,000 is more than 100,000, {most} (GRISTMILL_MAX_CHUNKS)",
        "#/limits/max_state_bytes": (
            f"1,000,000,000,000 is more than 100,000,000,000, {most} (GRISTMILL_MAX_STATE_BYTES)"
        ),
    }
