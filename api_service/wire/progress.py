"""How far a job is, and when it may end.

The fraction has two parts. The certain one counts finished units by their cost. The other one moves on by
time to the least that the next unit will surely add. So the fraction never stands still while work is done,
it never falls when a unit finishes, and each gateway finds the same one.
"""

import math
from dataclasses import dataclass
from datetime import datetime

from shared.core.entities import Job, Progress
from shared.core.fan_in import STATE_MERGE_BYTES, STATE_SCAN_BYTES
from shared.core.lifecycle import JobState, Phase

_PLANNED, _SCANNED, _MERGING = 0.01, 0.98, 0.65
"""The share of planning; the most that is done after scanning; the share of merging in the rest.

Publishing has the other. `python -m benchmarks.progress` shows the shares of real jobs.
"""
_PLAN_SECONDS, _SECONDS_A_BYTE, _LEAST_SECONDS = 0.1, 5e-8, 0.05
"""The time of a plan, and of a byte of CSV on two cores: expected until the job itself shows its pace."""
_ON_TIME = 0.8
"""The share of a step that is shown when its expected time is over."""
_UNKNOWN, _AHEAD, _STEPPED = 10.0, 3.0, 2.0
"""The factor by which an estimate may be wrong: by the bytes alone, for a phase without a finished unit, and
after one commit. More commits make it better, as the square root of their number: chunks that one commit ends
tell of one time only."""
_LEAST_WEIGHT = STATE_SCAN_BYTES / (STATE_SCAN_BYTES + STATE_MERGE_BYTES)
"""The least share that scanning can have of the cost of a chunk."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A phase as part of a job: the fraction *before* it, its *width*, the *share* of it that is done.

    The next unit adds at least *step* to the share, in about *expected* seconds from *since* on. *steps* are
    the commits so far. The phase has begun at *begun*.
    """

    before: float
    width: float
    share: float = 0.0
    step: float = 0.0
    steps: int = 0
    expected: float = _LEAST_SECONDS
    since: datetime | None = None
    begun: datetime | None = None

    def fraction(self, now: datetime) -> float:
        return self.before + self.width * (
            self.share + self.step * _passed(self._seconds(now) / self.expected)
        )

    def _seconds(self, now: datetime) -> float:
        return _between(self.since, now)


def _passed(time: float) -> float:
    """The share of a step after *time*, in units of its expected time: it always rises, and never is 1."""
    return _ON_TIME * time if time < 1 else 1 - (1 - _ON_TIME) / (1 + (time - 1) * _ON_TIME / (1 - _ON_TIME))


def fraction(job: Job, progress: Progress, now: datetime) -> float:
    """From 0 to 1: it is 1 only when the job has succeeded, and falls only when the job begins again."""
    if job.state == JobState.SUCCEEDED:
        return 1.0
    return stage(job, progress).fraction(job.finished_at or now)


def stage(job: Job, progress: Progress) -> Stage:
    """The phase that the job is in.

    The cost of merging and publishing a chunk is known when the chunk is done: by its states. So a done chunk
    counts for the share that scanning has of its whole cost, and no later finding takes that away again.
    """
    if job.phase == Phase.PLANNING:
        return Stage(0.0, _PLANNED, 0.0, 1.0, 0, _PLAN_SECONDS, job.started_at, job.started_at)
    width = _SCANNED - _PLANNED
    scanned = width * _share(progress.bytes_weighed, progress.bytes_total)
    stepped = progress.stepped_at
    if job.phase == Phase.SCANNING:
        least = _LEAST_WEIGHT * _share(progress.bytes_least_left, progress.bytes_total)
        pace = _between(job.planned_at, stepped) / progress.chunks_done if progress.chunks_done else 0.0
        expected = pace or progress.bytes_least_left * _SECONDS_A_BYTE
        since = _later(job.planned_at, stepped)
        return Stage(
            _PLANNED,
            width,
            scanned / width,
            least,
            progress.chunk_commits,
            max(expected, _LEAST_SECONDS),
            since,
            job.planned_at,
        )
    before = _PLANNED + scanned
    merging = _MERGING * (1 - before)
    seconds = _between(job.planned_at, job.scanned_at)
    if job.phase == Phase.MERGING:
        whole = seconds * merging / before
        pace = _between(job.scanned_at, stepped) / progress.merges_done if progress.merges_done else 0.0
        return Stage(
            before,
            merging,
            _share(progress.merges_done, progress.merges_total),
            _share(1 if progress.merges_done < progress.merges_total else 0, progress.merges_total),
            progress.merges_done,
            max(pace or whole * _share(1, progress.merges_total), _LEAST_SECONDS),
            _later(job.scanned_at, stepped) if progress.merges_done else job.scanned_at,
            job.scanned_at,
        )
    seconds = _between(job.planned_at, job.merged_at)
    left = 1 - before - merging
    expected = max(seconds * left / (before + merging), _LEAST_SECONDS)
    return Stage(before + merging, left, 0.0, 1.0, 0, expected, job.merged_at, job.merged_at)


def seconds_left(job: Job, progress: Progress, now: datetime) -> tuple[float, float] | None:
    """An estimate, and by which factor it may be wrong; None until the job is planned.

    By the pace of the phase; until a part of it is done, by the pace of all before it, or by the bytes. A
    phase that lasts longer than estimated is thought to last half as long again.
    """
    if job.phase == Phase.PLANNING or job.planned_at is None:
        return None
    at = stage(job, progress)
    done, lasted = at.fraction(now), _between(at.begun, now)
    certain = at.width * at.share
    if certain > 0:
        return lasted / (done - at.before) * (1 - done), 1 + _STEPPED / math.sqrt(max(at.steps, 1))
    if job.phase == Phase.SCANNING:
        whole = max(progress.bytes_total * _SECONDS_A_BYTE, _LEAST_SECONDS)
        return max(whole - lasted, lasted / 2), _UNKNOWN
    expected = _between(job.planned_at, at.begun) / at.before * (1 - at.before)
    return max(expected - lasted, lasted / 2), _AHEAD


def eta(job: Job, progress: Progress, now: datetime) -> tuple[int | None, tuple[int, int] | None]:
    """Whole seconds until a running job ends, and the least and the most that they may be."""
    found = seconds_left(job, progress, now) if job.state == JobState.RUNNING else None
    if found is None:
        return None, None
    left, factor = found
    return max(1, math.ceil(left)), (math.floor(left / factor), max(1, math.ceil(left * factor)))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _between(start: datetime | None, end: datetime | None) -> float:
    return max(0.0, (end - start).total_seconds()) if start and end else 0.0


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other
