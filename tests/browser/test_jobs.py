"""The list of jobs in a browser."""

import pytest

from tests.support.browser import axe_in_each_look

pytestmark = pytest.mark.full

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def spec(uri: str, name: str, **changes) -> dict:
    aggregates = [{"fn": "sum", "column": "price", "as": "revenue"}]
    return {
        "source": {"uris": [uri], "types": {"price": "decimal(12,2)"}},
        "group_by": ["city"],
        "aggregates": aggregates,
        "output": {"name": name},
    } | changes


@pytest.fixture
def failed(stack):
    """A job that failed at a value that looks like a script, whose file has such a name."""
    uri = stack.write("browser/a<script>b.csv", f"city,price\nOslo,1.5\n{SCRIPT},{SCRIPT}\n")
    job = stack.run(spec(uri, "browser_failed", labels={"note": "<script>x</script>"}))
    assert job["state"] == "failed"
    return job


@pytest.fixture
def succeeded(stack):
    job = stack.run(spec(stack.write("browser/b.csv", "city,price\nOslo,1.5\nRome,2\n"), "browser_cities"))
    assert job["state"] == "succeeded", job["error"]
    return job


def test_the_list_shows_jobs_and_is_accessible(windows, failed, succeeded):
    page = windows.open("/jobs")
    row = page.get_by_role("row").filter(has_text=succeeded["id"][-8:])
    assert "succeeded" in row.inner_text()
    assert "browser_cities" in row.inner_text()
    axe_in_each_look(page)


@pytest.mark.parametrize("script", [True, False], ids=["JavaScript", "without JavaScript"])
def test_the_filter_is_in_the_url_and_works_without_javascript(windows, failed, succeeded, script):
    page = windows.open("/jobs", java_script_enabled=script)
    page.get_by_label("State").select_option("failed")
    page.get_by_label("Result").fill("browser_failed")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**/jobs?state=failed&name=browser_failed**")
    assert page.get_by_text(failed["id"][-8:]).count() == 1
    assert page.get_by_text(succeeded["id"][-8:]).count() == 0


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/jobs?source=%3Cscript%3E", "/jobs?label=note:%3Cscript%3Ex%3C/script%3E"]
)
def test_text_that_looks_like_a_script_is_shown_and_never_run(windows, failed, path):
    page = windows.open(path)
    assert page.locator("img[src=x], script:not([src])").count() == 0
    assert "<script>" in page.locator("main").inner_text()


def test_an_address_without_a_page_is_told(windows):
    page = windows.open("/nothing")
    assert page.get_by_role("heading", level=1).inner_text()
    axe_in_each_look(page)
    windows.allow("404")
