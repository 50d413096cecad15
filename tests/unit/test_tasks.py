import asyncio

import pytest

from shared.tasks import end, forever


async def test_a_task_that_loses_its_first_cancellation_is_ended_by_the_next():
    """As redis-py's are on Python 3.11: a gateway once never stopped, because its doorbell was just being rung."""
    lost = []

    async def deaf_once():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append(1)

    task = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)

    assert await end([task], 5) == set()
    assert (task.cancelled(), lost) == (True, [1])


async def test_a_task_that_will_not_end_is_handed_back_in_time():
    stop = asyncio.Event()

    async def deaf():
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)

    assert await end([task], 0.15) == {task}
    stop.set()
    await task


async def test_nothing_to_end_is_fine():
    assert await end([], 1) == set()


@pytest.mark.parametrize("error", [RuntimeError("a bug of a driver"), asyncio.CancelledError()])
async def test_what_runs_for_ever_goes_on_after_any_error_and_ends_when_it_is_cancelled(error):
    runs, again = [], asyncio.Event()

    async def run():
        runs.append(1)
        if len(runs) == 1:
            raise error
        again.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(forever("test", run, rest=0))
    async with asyncio.timeout(5):
        await again.wait()
        assert await end([task], 5) == set()
    assert task.cancelled()
