"""Which chunks join a fold, and the time that they get."""

from datetime import timedelta
from unittest.mock import patch

import pytest

from shared.core.fan_in import SLOT_BYTES
from shared.core.timings import Timings
from shared.db.units import Done
from shared.errors import LeaseLost
from tests.unit.test_settling import lease
from worker_service.child import tasks
from worker_service.units.fold import FEW_GROUPS, Fold, no_more

FIRST = lease(kind="chunk", allowed=timedelta(seconds=900))


def fold_of(*leases, first=FIRST):
    left = iter(leases)

    async def claim(_):
        return next(left, None)

    fold = Fold(first, claim, Timings())
    fold.hold(Done(), FEW_GROUPS)
    return fold


def at(seconds):
    return patch("time.monotonic", return_value=seconds)


async def test_chunks_join_until_there_is_none_or_the_time_of_the_fold_is_over():
    second = lease(kind="chunk", id=2)
    with at(100.0):
        fold = fold_of(second, second)
        assert await fold.join()
        fold.hold(Done(), FEW_GROUPS)
    assert fold.leases == [FIRST, second]
    with at(103.0):
        assert not fold.open
        assert not await fold.join(), "and nothing was claimed"
    assert fold.leases == [FIRST, second]
    assert not await fold_of().join()
    assert not await Fold(FIRST, no_more, Timings()).join()


async def test_a_fold_of_few_groups_is_open_for_a_shorter_time_so_that_progress_is_seen():
    with at(100.0):
        fold = fold_of(lease(kind="chunk", id=2))
        fold.hold(Done(), FEW_GROUPS - 1)
    with at(100.4):
        assert fold.open
    with at(100.5):
        assert not fold.open


async def test_a_fold_of_many_groups_is_open_for_longer_since_these_take_longer_to_write():
    with at(100.0):
        fold = fold_of(lease(kind="chunk", id=2))
        fold.hold(Done(), 600_000)
    with at(105.9):
        assert fold.open
    with at(106.0):
        assert not fold.open


async def test_a_fold_closes_at_the_latest_when_its_first_lease_may_be_preempted():
    with at(100.0):
        fold = fold_of(lease(kind="chunk", id=2))
        fold.hold(Done(), 100_000_000)
    with at(100.0 + Timings().protected.total_seconds()):
        assert not fold.open


async def test_the_first_deadline_of_a_lease_holds_for_the_fold():
    with at(100.0):
        fold = fold_of(lease(kind="chunk", id=2, allowed=timedelta(seconds=1000)))
        assert Fold(FIRST, no_more, Timings()).allowed == timedelta(seconds=900)
    with at(102.0):
        await fold.join()
        assert fold.allowed == timedelta(seconds=898)
    with at(2000.0):
        assert fold.allowed == timedelta()


async def test_a_chunk_of_another_epoch_is_the_one_at_work_so_that_it_is_given_back():
    other = lease(kind="chunk", id=2, epoch=7)
    fold = fold_of(other)
    with pytest.raises(LeaseLost):
        await fold.join()

    assert (fold.lease, fold.leases) == (other, [FIRST, other])


def test_a_smaller_slot_holds_fewer_states():
    class States:
        resumable, nbytes = True, tasks.HELD_BYTES // 2

    for memory, stays in (
        (None, True),
        (2 * SLOT_BYTES, True),
        (SLOT_BYTES // 2, True),
        (SLOT_BYTES // 4, False),
    ):
        with patch.object(tasks, "_slot_memory", return_value=memory):
            assert tasks._may_stay(States()) == stays


def test_a_smaller_slot_writes_its_states_sooner_and_sooner_still_if_they_are_tables():
    class States:
        groups, futile = 1, False

        def __init__(self, resumable: bool) -> None:
            self.resumable, self.nbytes = resumable, 0

        def pieces(self, frame: int) -> list[int]:
            return [frame]

        def add(self, frame: int) -> None:
            self.nbytes += frame

        def flush(self) -> int:
            written, self.nbytes = self.nbytes, 0
            return written

    def written(resumable: bool, memory: int) -> list[int]:
        with patch.object(tasks, "_slot_memory", return_value=memory):
            return list(tasks._overflows(States(resumable), iter([1 << 20] * 300)))

    assert written(True, SLOT_BYTES) == [257 << 20]
    assert written(True, SLOT_BYTES // 2) == [129 << 20] * 2
    assert written(False, SLOT_BYTES) == [65 << 20] * 4
    assert written(False, SLOT_BYTES // 4)[0] == 17 << 20
