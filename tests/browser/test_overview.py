"""The overview and the workers in a browser: charts, refreshing, and draining."""

import pytest
from playwright.sync_api import expect

from tests.support.browser import axe_in_each_look
from tests.support.stack import eventually

pytestmark = pytest.mark.full


@pytest.fixture
def job(stack):
    uri = stack.write("browser/overview.csv", "city,price\n" + "Oslo,1.5\nRome,2\n" * 5000)
    job = stack.run(
        {
            "source": {"uris": [uri]},
            "group_by": ["city"],
            "aggregates": [{"fn": "count"}],
            "output": {"name": "browser_overview"},
        }
    )
    assert job["state"] == "succeeded", job["error"]
    return job


def inked(page, chart: str) -> int:
    """How many pixels of the chart's picture are not clear."""
    return page.evaluate(
        """(chart) => {
            const canvas = document.querySelector(`#chart-${chart} canvas`);
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return data.filter((value, no) => no % 4 === 3 && value > 0).length;
        }""",
        chart,
    )


def test_the_overview_is_drawn_and_accessible(windows, job):
    page = windows.open("/")
    page.get_by_text("The numbers of the last hour").click()
    axe_in_each_look(page)
    rows = page.locator("#minutes tbody tr")
    read = sum(float(row.get_attribute("data-rows")) for row in rows.all())
    assert 60 * read >= 9_999
    for chart in ("read", "ended"):
        assert inked(page, chart) > 500


def test_the_overview_asks_again_only_while_it_is_seen(windows, job):
    page = windows.open("/")
    page.get_by_text("The numbers of the last hour").click()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_response(lambda response: response.url.endswith("/")):
        pass
    assert page.locator("#numbers").evaluate("details => details.open")
    assert page.locator("#live").count() == 1
    assert page.locator("canvas").count() == 2
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true})")
    asked.clear()
    page.wait_for_timeout(6_000)
    assert asked == []


def test_the_page_says_when_the_gateway_does_not_answer_and_goes_on_when_it_does(windows, job):
    page = windows.open("/workers")
    away = page.get_by_role("status")
    expect(away).to_be_empty()
    page.route("**/workers", lambda route: route.abort())
    expect(away).to_contain_text("No connection to the gateway since")
    page.unroute("**/workers")
    expect(away).to_be_empty()
    windows.allow("Failed to load resource")
    windows.complaints = [text for text in windows.complaints if "fetch" not in text.lower()]


@pytest.mark.parametrize("script", [True, False], ids=["JavaScript", "without JavaScript"])
def test_a_worker_is_drained_by_its_button(closed_stack, closed_windows, owner_key, script):
    page = closed_windows.open("/workers", java_script_enabled=script)
    page.get_by_label("API key").fill(owner_key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/workers")
    if script:
        axe_in_each_look(page)
        page.set_viewport_size({"width": 1280, "height": 900})
    process = closed_stack.processes[-1].popen
    page.get_by_text("Drain…").first.click()
    page.get_by_role("button", name="Drain this worker").first.click()
    expect(page.locator("main")).to_contain_text("draining")
    eventually(lambda: process.poll() is not None, "the worker's end")
    assert process.returncode == 0
    closed_stack.worker()
