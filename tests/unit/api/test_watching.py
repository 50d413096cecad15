"""What is remembered, who is woken, who takes a turn: pure asyncio, without a server."""

import asyncio
from types import SimpleNamespace

import pytest

from api_service.services.turns import Turns
from api_service.services.watching import LookOut, Remembered
from shared.errors import DatabaseUnavailable, TooManyExports
from shared.loops import end

JOB = ("default", "job_1")


class Question:
    """Answers with how often it was asked; while `wrong` it fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.wrong = False

    async def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        await asyncio.sleep(0)
        if self.wrong:
            raise DatabaseUnavailable("away")
        return number


async def test_those_who_ask_at_once_share_one_answer_until_it_is_too_old():
    remembered, question = Remembered[int](0.05), Question()

    assert await asyncio.gather(*(remembered.get(JOB, question) for _ in range(50))) == [1] * 50
    assert await remembered.get(JOB, question) == 1
    assert await remembered.get(("other", "job_1"), question) == 2
    async with asyncio.timeout(5):
        while await remembered.get(JOB, question) == 1:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("took", "good"), [(0.001, 0.25), (3.0, 30.0)])
async def test_what_takes_long_to_find_out_is_good_for_longer(monkeypatch, took, good):
    kept, clock = [], iter([100.0, 100.0 + took])
    loop = asyncio.get_running_loop()
    remembered = Remembered[int](0.25, 10)
    monkeypatch.setattr("api_service.services.watching.time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(loop, "call_later", lambda seconds, *_: kept.append(seconds))
    await remembered.get(JOB, Question())
    monkeypatch.undo()

    assert kept == [pytest.approx(good)]


async def test_what_is_forgotten_is_asked_again_even_while_an_older_answer_is_on_its_way():
    remembered, question = Remembered[int](60), Question()
    older = asyncio.create_task(remembered.get(JOB, question))
    await asyncio.sleep(0)
    remembered.forget(JOB)

    assert (await remembered.get(JOB, question), await older) == (2, 1)
    assert await remembered.get(JOB, question) == 2


async def test_an_error_reaches_all_who_asked_and_is_not_kept():
    remembered, question = Remembered[int](60), Question()
    question.wrong = True
    errors = await asyncio.gather(*(remembered.get(JOB, question) for _ in range(3)), return_exceptions=True)
    question.wrong = False

    assert [type(error) for error in errors] == [DatabaseUnavailable] * 3
    assert await remembered.get(JOB, question) == 2


async def test_one_who_gives_up_takes_the_answer_from_nobody():
    remembered, question = Remembered[int](60), Question()
    first = asyncio.create_task(remembered.get(JOB, question))
    second = asyncio.create_task(remembered.get(JOB, question))
    await asyncio.sleep(0)
    first.cancel()

    assert await second == 1
    assert first.cancelled()


async def test_a_look_out_asks_once_for_all_and_wakes_whom_it_concerns():
    standing = {"job_1": ("running", "scanning"), "job_2": ("running", "scanning")}
    looks, moved = [], []

    async def look(ids: list[str]) -> dict[str, tuple[str, str]]:
        looks.append(ids)
        return {job_id: standing[job_id] for job_id in ids}

    lookout = LookOut(look, moved.append)
    running = asyncio.create_task(lookout.run())
    seen = ("running", "scanning")
    ones = [asyncio.create_task(lookout.moved(("t", "job_1"), seen, 30)) for _ in range(100)]
    two = asyncio.create_task(lookout.moved(("t", "job_2"), seen, 0.2))
    while not looks:
        await asyncio.sleep(0)
    standing["job_1"] = ("running", "merging")
    async with asyncio.timeout(5):
        assert await asyncio.gather(*ones) == [True] * 100
        assert await two is False
    await end([running], 5)

    assert moved == [("t", "job_1")]
    assert all(len(ids) == len(set(ids)) <= 2 for ids in looks)


async def test_those_who_wait_are_woken_when_postgres_is_away_and_when_the_gateway_stops():
    async def away(_: list[str]) -> dict[str, tuple[str, str]]:
        raise DatabaseUnavailable("away")

    lookout = LookOut(away, lambda _: None)
    running = asyncio.create_task(lookout.run())
    async with asyncio.timeout(5):
        assert await lookout.moved(JOB, ("running", "scanning"), 30)
        await end([running], 5)
        waiting = asyncio.create_task(lookout.moved(JOB, ("running", "scanning"), 30))
        await asyncio.sleep(0)
        lookout.stop()
        await waiting
        assert await lookout.moved(JOB, ("running", "scanning"), 30) is False


async def test_a_tenant_of_slow_readers_leaves_turns_for_the_others():
    turns = Turns(3, 2, patience=0.05, refusal=TooManyExports("x"))
    async with turns.turn("slow"), turns.turn("slow"):
        with pytest.raises(TooManyExports):
            async with turns.turn("slow"):
                pass
        async with turns.turn("other"):
            with pytest.raises(TooManyExports):
                async with turns.turn("third"):
                    pass
    async with turns.turn("slow"), turns.turn("slow"), turns.turn("third"):
        pass


async def test_who_waits_for_a_turn_gets_the_one_that_is_given_back():
    turns = Turns(1, 1, patience=5, refusal=TooManyExports("x"))
    async with turns.turn("a"):
        waiting = asyncio.create_task(turns.turn("b").__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
    async with asyncio.timeout(2):
        await waiting
