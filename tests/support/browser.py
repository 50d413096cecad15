"""Chromium for the tests of pages: where it is, what a page complained of, and what axe-core finds in it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.stack import eventually

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MISSING = "There is no browser: apt-get install chromium"
Scheme = Literal["light", "dark"]
LOOKS: tuple[tuple[Scheme, int], ...] = (("light", 1280), ("light", 390), ("dark", 1280), ("dark", 390))
"""Colour scheme and width in which each page is to be right."""
PATIENCE = 30_000
"""Milliseconds that a page, and an expectation of it, waits: Playwright's 5,000 are few on a busy machine."""
_AXE = Axe()


def installed() -> str | None:
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser that is there.

    Without one the test is skipped; in CI it fails.
    """
    with sync_playwright() as play:
        found = installed() or shutil.which(play.chromium.executable_path)
        if found is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
        expect.set_options(timeout=PATIENCE)
        with play.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"]) as browser:
            yield browser


class Windows:
    """The pages that a test opens, each in a context of its own, and their complaints.

    A complaint is an error on the console, such as a violation of the Content-Security-Policy, an error that
    a script raised, or a dialog.
    """

    def __init__(self, browser: Browser, base_url: str) -> None:
        self._browser, self._base_url = browser, base_url
        self.complaints: list[str] = []

    def open(self, path: str = "/", *, scheme: Scheme = "light", width: int = 1280, **context: Any) -> Page:
        """The page at *path*; *context* is for Playwright's new_context, as `java_script_enabled=False`."""
        options = {"base_url": self._base_url, "color_scheme": scheme} | context
        page = self._browser.new_context(viewport={"width": width, "height": 900}, **options).new_page()
        page.on("console", lambda said: said.type == "error" and self._complain(page, said.text))
        page.on("pageerror", lambda error: self._complain(page, str(error)))
        page.on("dialog", lambda dialog: (self._complain(page, f"asked {dialog.message}"), dialog.dismiss()))
        page.set_default_timeout(PATIENCE)
        page.goto(path)
        return page

    def _complain(self, page: Page, text: str) -> None:
        self.complaints.append(f"{page.url}: {text}")

    def allow(self, part: str) -> None:
        """Take away the complaints with *part*, which must be there: those of a page that is to fail."""
        kept = [text for text in self.complaints if part not in text]
        assert len(kept) < len(self.complaints), f"No page said {part!r}, but {self.complaints}"
        self.complaints = kept


def until(page: Page, script: str, arg: Any = None) -> None:
    """Wait until a script gives something that is true.

    Playwright's own wait_for_function evaluates a text inside the page, where the policy of pages forbids it.
    """
    eventually(lambda: page.evaluate(script, arg), script)


def axe(page: Page) -> None:
    """Assert that axe-core finds nothing wrong with the page as it is."""
    found = _AXE.run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"


def axe_in_each_look(page: Page) -> None:
    """Assert the same in both colour schemes and widths, and that nothing is wider than the window."""
    for scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        axe(page)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{page.url} needs {wide} pixels of {width}"
