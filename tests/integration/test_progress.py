"""The progress of real jobs, as their events tell it."""

import json
import time
from itertools import pairwise

import pytest

ROWS = 60_000
STANDSTILL = 3.0
"""Seconds; on an idle machine it is the quarter of a second between two looks."""


def followed(stack, job_id):
    """When each event came, and its data."""
    with stack.http.stream("GET", f"/v1/jobs/{job_id}/events", timeout=60) as answer:
        for text in answer.iter_lines():
            if text.startswith("data: "):
                yield time.monotonic(), json.loads(text[6:])


@pytest.mark.parametrize("groups", [3, ROWS])
def test_the_fraction_of_a_real_job_never_falls_and_never_stands_still_for_long(stack, groups):
    uri = stack.write(
        f"progress{groups}.csv", "k,n\n" + "".join(f"{no % groups},{no}\n" for no in range(ROWS))
    )
    spec = {
        "source": {"uris": [uri], "format": "csv"},
        "group_by": ["k"],
        "aggregates": [{"fn": "sum", "column": "n"}, {"fn": "median", "column": "n"}],
        "options": {"chunk_bytes": 50_000},
    }
    seen = list(followed(stack, stack.submit(spec)["id"]))
    assert seen[-1][1]["state"] == "succeeded"
    fractions = [each["progress"]["fraction"] for _, each in seen]
    assert all(before <= now for before, now in pairwise(fractions))
    assert fractions[-1] == 1
    assert all(fraction < 1 for fraction in fractions[:-1])
    moved = [
        at for (at, _), now, before in zip(seen[1:], fractions[1:], fractions, strict=False) if now > before
    ]
    assert max(later - earlier for earlier, later in pairwise([seen[0][0], *moved])) < STANDSTILL
    for _, each in seen:
        progress = each["progress"]
        assert (progress["eta_seconds"] is None) == (progress["eta_range"] is None)
        if progress["eta_range"]:
            least, most = progress["eta_range"]
            assert 0 <= least <= progress["eta_seconds"] <= most
