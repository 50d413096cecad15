"""A browser for each file, because Playwright has an event loop that asynchronous tests must not meet."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Windows, chromium
from tests.support.databases import own_database
from tests.support.stack import Stack, running

OWNER = "b" * 40
"""GRISTMILL_API_KEY of the stack with keys."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def windows(browser: Browser, stack: Stack) -> Iterator[Windows]:
    """Pages of the stack that needs no key; in the end none may have complained."""
    yield from _watched(browser, stack)


@pytest.fixture
def owner_key() -> str:
    return OWNER


@pytest.fixture(scope="module")
def closed_stack(
    postgres: str, redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack with keys; its `http` has the owner's."""
    url, folder = redis_server.rpartition("/")[0] + "/8", tmp_path_factory.mktemp("closed")
    with (
        own_database(postgres, "closed") as dsn,
        running(dsn, url, folder, GRISTMILL_API_KEY=OWNER) as stack,
    ):
        stack.http.headers["Authorization"] = f"Bearer {OWNER}"
        yield stack


@pytest.fixture
def closed_windows(browser: Browser, closed_stack: Stack) -> Iterator[Windows]:
    """Pages of the stack with keys."""
    yield from _watched(browser, closed_stack)


@pytest.fixture
def idle_stack(postgres: str, redis_server: str, tmp_path: Path) -> Iterator[Stack]:
    """A stack without a worker: its jobs stay as they are until a test starts one."""
    url = redis_server.rpartition("/")[0] + "/9"
    with own_database(postgres, "idle") as dsn, running(dsn, url, tmp_path, workers=0) as stack:
        yield stack


@pytest.fixture
def idle_windows(browser: Browser, idle_stack: Stack) -> Iterator[Windows]:
    """Pages of the stack without a worker."""
    yield from _watched(browser, idle_stack)


def _watched(browser: Browser, stack: Stack) -> Iterator[Windows]:
    """Pages of a stack; in the end none may have complained."""
    windows = Windows(browser, str(stack.http.base_url))
    yield windows
    for context in browser.contexts:
        context.close()
    assert windows.complaints == []
