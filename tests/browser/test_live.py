"""The live page of a job: it outlives its gateway, and rests while its tab is hidden."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_jobs import spec
from tests.support.browser import axe_in_each_look, until

pytestmark = pytest.mark.full

AWAY = re.compile(r"^No connection to the gateway since \d\d:\d\d:\d\d UTC\. .* tries again by itself\.$")


@pytest.fixture
def waiting(closed_stack):
    """A paused job of many chunks."""
    rows = "".join(f"c{no % 7},{no}.25\n" for no in range(20_000))
    uri = closed_stack.write("browser/live.csv", f"city,price\n{rows}")
    job = closed_stack.submit(spec(uri, None, options={"chunk_bytes": 2000}, output={}))
    answer = closed_stack.http.post(f"/v1/jobs/{job['id']}/pause")
    assert answer.status_code == 202, answer.text
    return job["id"]


def signed_in(windows, key, path):
    page = windows.open(path)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{path}")
    return page


def test_a_page_recovers_when_its_gateway_is_killed_and_starts_again(
    closed_stack, closed_windows, owner_key, waiting
):
    page = signed_in(closed_windows, owner_key, f"/jobs/{waiting}")
    page.get_by_role("button", name="Resume").wait_for()
    page.evaluate("window.same = true")
    closed_stack.processes[0].kill()
    status = page.locator("#away[role=status]")
    expect(status).to_have_text(AWAY)
    axe_in_each_look(page)
    closed_stack.gateway()
    closed_stack.processes[0] = closed_stack.processes.pop()
    expect(status).to_be_empty()
    assert closed_stack.http.post(f"/v1/jobs/{waiting}/resume").status_code == 202
    closed_stack.wait(waiting)
    page.get_by_role("link", name="7 rows").wait_for()
    assert page.locator("#job .state").first.inner_text() == "succeeded"
    assert page.evaluate("window.same"), "the page was not loaded anew"
    closed_windows.allow("htmx:sse:error")
    away = ("ERR_", "Failed to fetch")
    closed_windows.complaints = [
        text for text in closed_windows.complaints if not any(part in text for part in away)
    ]


def test_a_page_is_live_though_a_script_comes_late(closed_stack, closed_windows, owner_key, waiting):
    page = signed_in(closed_windows, owner_key, f"/jobs/{waiting}")
    late = []
    page.route("**/assets/sse.js*", lambda route: late.append(route))  # noqa: PLW0108  # Playwright marks it
    page.reload(wait_until="commit")
    until(page, "'htmx' in window")
    page.evaluate("new Promise((done) => setTimeout(done))")  # after the timers that htmx.js may have set
    with page.expect_event("request", lambda request: "/live?" in request.url):
        late[0].continue_()
    assert closed_stack.http.post(f"/v1/jobs/{waiting}/resume").status_code == 202
    page.get_by_role("link", name="7 rows").wait_for()


def test_a_page_whose_first_connection_fails_says_so_and_connects_later(
    closed_stack, closed_windows, owner_key, waiting
):
    page = signed_in(closed_windows, owner_key, f"/jobs/{waiting}")
    status = page.locator("#away")
    page.route("**/live?*", lambda route: route.abort())
    page.reload()
    expect(status).to_have_text(AWAY)
    page.unroute("**/live?*")
    page.route("**/live?*", lambda route: route.fulfill(status=503, body="no news"))
    expect(status).to_contain_text("The gateway answers with status 503")
    page.unroute("**/live?*")
    expect(status).to_be_empty()
    assert page.get_by_text("no news").count() == 0
    assert closed_stack.http.post(f"/v1/jobs/{waiting}/resume").status_code == 202
    closed_stack.wait(waiting)
    page.get_by_role("link", name="7 rows").wait_for()
    closed_windows.allow("Failed to load resource")
    closed_windows.complaints = [text for text in closed_windows.complaints if "fetch" not in text.lower()]


def test_a_hidden_tab_rests_and_goes_on_when_it_is_seen(closed_stack, closed_windows, owner_key, waiting):
    page = signed_in(closed_windows, owner_key, f"/jobs/{waiting}")
    asked, ended = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: ended.append(request.url))
    page.reload()
    until(page, "performance.getEntriesByType('resource').length > 0")
    hide(page, hidden=True)
    page.wait_for_timeout(500)
    assert [url for url in ended if "/live" in url], "the stream is closed"
    asked.clear()
    assert closed_stack.http.post(f"/v1/jobs/{waiting}/resume").status_code == 202
    closed_stack.wait(waiting)
    page.wait_for_timeout(6_000)  # the strip would be asked for every five seconds
    assert asked == []
    assert page.locator("#job .state").first.inner_text() == "paused"
    hide(page, hidden=False)
    page.get_by_role("link", name="7 rows").wait_for()
    assert page.locator("#job .state").first.inner_text() == "succeeded"


def hide(page, *, hidden: bool) -> None:
    """As the browser tells a page whose tab is behind others: headless ones never are."""
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            Object.defineProperty(document, "visibilityState",
                { configurable: true, get: () => (hidden ? "hidden" : "visible") });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
