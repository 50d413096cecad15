"""The page of a job in a browser: live, its buttons, and its failure."""

import pytest

from tests.browser.test_jobs import SCRIPT, failed, spec  # noqa: F401  # a fixture
from tests.support.browser import axe_in_each_look

pytestmark = pytest.mark.full


@pytest.fixture
def long(stack):
    """A job under way, of many chunks."""
    rows = "".join(f"c{no % 7},{no}.25\n" for no in range(20_000))
    uri = stack.write("browser/long.csv", f"city,price\n{rows}")
    return stack.submit(spec(uri, "browser_long", options={"chunk_bytes": 2000}))


def test_the_page_follows_the_job_to_its_end_by_itself(windows, stack, long):
    page = windows.open(f"/jobs/{long['id']}")
    page.evaluate("window.same = true")
    page.get_by_role("link", name="7 rows of browser_long").wait_for()
    assert page.locator("#job .state").first.inner_text() == "succeeded"
    assert page.get_by_role("heading", name="Receipt").count() == 1
    assert page.locator("#live").count() == 0
    assert page.evaluate("window.same"), "the page was not loaded anew"
    axe_in_each_look(page)


def test_the_buttons_change_the_job(idle_windows, idle_stack):
    uri = idle_stack.write("browser/c.csv", "city,price\nOslo,1.5\nRome,2\n")
    page = idle_windows.open(f"/jobs/{idle_stack.submit(spec(uri, 'browser_buttons'))['id']}")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    axe_in_each_look(page)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("button", name="Pause").wait_for()
    idle_stack.worker()
    page.get_by_role("link", name="2 rows of browser_buttons").wait_for()


@pytest.mark.parametrize("script", [True, False], ids=["JavaScript", "without JavaScript"])
def test_a_failure_tells_its_place_and_runs_nothing(windows, failed, script):  # noqa: F811
    page = windows.open(f"/jobs/{failed['id']}", java_script_enabled=script)
    card = page.get_by_role("region", name="Why it failed")
    for part in ("bad_row", "a<script>b.csv", SCRIPT, "Next step"):
        assert part in card.inner_text()
    assert page.locator("img[src=x], script:not([src])").count() == 0
    if script:
        axe_in_each_look(page)


def test_a_change_of_all_jobs_that_fit_is_confirmed_first(windows, failed):  # noqa: F811
    page = windows.open("/jobs?state=failed&name=browser_failed")
    page.get_by_role("link", name="Retry all that fit").click()
    axe_in_each_look(page)
    page.get_by_role("button", name="Retry").click()
    assert "jobs changed" in page.get_by_role("heading", level=1).inner_text().replace(
        "job changed", "jobs changed"
    )
