import threading
import weakref

import pytest

from worker_service.readers.bytes.ahead import DEPTH, ahead


def test_the_items_are_the_same_and_are_made_by_a_thread():
    made = []

    def items():
        for i in range(5):
            made.append((i, threading.current_thread()))
            yield i

    threads = threading.active_count()
    assert list(ahead(items())) == [0, 1, 2, 3, 4]
    assert threading.active_count() == threads
    assert [thread is threading.main_thread() for _, thread in made] == [True, False, False, False, False]
    assert list(ahead(iter(()))) == []


def test_the_next_items_are_made_while_one_is_used_and_no_more():
    last, made = threading.Event(), []

    def items():
        for i in range(9):
            made.append(i)
            if i == DEPTH:
                last.set()
            yield i

    found = ahead(items())
    assert next(found) == 0
    assert last.wait(10)
    found.close()
    assert made == [*range(DEPTH + 1)]


@pytest.mark.parametrize("good", [0, 1, 3])
def test_an_exception_comes_in_its_place_and_ends_the_thread(good):
    def items():
        yield from range(good)
        raise MemoryError("here")

    threads, found = threading.active_count(), []
    with pytest.raises(MemoryError, match="here"):
        found.extend(iter_into(found, ahead(items())))
    assert found == list(range(good))
    assert threading.active_count() == threads


def iter_into(found, items):
    for item in items:
        found.append(item)
    return []


def test_a_consumer_that_stops_leaves_no_thread_and_closes_the_items():
    closed = []

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.active_count())

    threads = threading.active_count()
    found = ahead(items())
    assert next(found) == next(found) == 1
    found.close()
    assert threading.active_count() == threads
    del found
    assert closed == [threads]


def test_no_item_stays_when_it_has_been_used():
    class Item:
        pass

    found = ahead(Item() for _ in range(4))
    held = []
    for item in found:
        held.append(weakref.ref(item))
        del item
        if len(held) == 3:
            assert held[0]() is None
            assert held[1]() is None
    assert len(held) == 4


def test_without_a_thread_the_caller_makes_the_items(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    size = threading.stack_size()
    assert list(ahead(iter(range(4)))) == [0, 1, 2, 3]
    assert threading.stack_size() == size
