"""A new job in a browser: uploads with progress, a form that helps, the way to the job."""

import json
import re
import time

import pytest

from api_service.problems import status_and_title
from shared.errors import BadRequest, TooManyRequests, TooManyUploads, UploadLocked
from tests.browser.test_live import signed_in
from tests.support.browser import axe_in_each_look, until
from tests.support.stack import eventually

pytestmark = pytest.mark.full

SCRIPT = "<script>alert(1)</script>"
ORDERS = f"""{SCRIPT},ordered,price,paid
KR,2024-01-03,12.5,true
{SCRIPT},2024-02-09,,false
DE,2024-02-10,2,true
"""


@pytest.fixture
def orders(tmp_path):
    path = tmp_path / "browser_orders.csv"
    path.write_text(ORDERS)
    return path


def looked_at(windows, path, **window):
    page = windows.open("/new", **window)
    page.get_by_label("Upload a file").set_input_files(path)
    page.locator("#uploads input:checked").wait_for()
    page.get_by_role("button", name="Look at the data").click()
    page.wait_for_url("**/new?plan=plan_*")
    return page


def test_from_a_file_to_the_job(windows, stack, orders):
    page = looked_at(windows, orders)
    assert SCRIPT in page.get_by_role("region", name="The first rows").inner_text()
    page.locator("[name='/group_by/0/column']").select_option("ordered")
    page.locator("[name='/group_by/0/time_bucket']").select_option("1mo")
    page.get_by_role("button", name="Add an aggregate").click()
    column = page.locator("[name='/aggregates/1/column']")
    column.select_option("paid")
    function = page.locator("[name='/aggregates/1/fn']")
    assert function.locator("option[disabled]").filter(has_text=re.compile("^sum$")).count() == 1
    column.select_option("price")
    function.select_option("sum")
    page.locator("[name='/output/name']").fill("browser_new_orders")
    page.locator("[name='/where']").fill("price > 1")
    page.locator("[name='/where']").blur()
    until(page, "document.querySelector('#json').value.includes('price > 1')")
    spec = json.loads(page.locator("#json").input_value())
    assert spec["group_by"] == [{"column": "ordered", "time_bucket": "1mo"}]
    page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/job_*")
    job = stack.wait(page.url.rpartition("/")[2])
    assert job["state"] == "succeeded", job["error"]
    assert [row["sum_price"] for row in stack.rows(job["id"])] == [12.5, 2.0]
    page.reload()
    page.locator("main").get_by_role("link", name="browser_new_orders").first.click()
    page.wait_for_url("**/results/browser_new_orders*")
    assert page.locator("main canvas, main svg").count() >= 1
    assert page.get_by_role("cell", name="12.5").count() >= 1


def test_the_pages_are_accessible_with_errors_too(windows, orders):
    axe_in_each_look(windows.open("/new"))
    page = looked_at(windows, orders)
    axe_in_each_look(page)
    for details in page.locator("details").all():
        details.evaluate("of => { of.open = true; }")
    page.locator("[name='/where']").fill("price >")
    page.locator("[name='/source/csv/skip_rows']").fill("many")
    page.locator("#new_type").select_option("price")
    page.get_by_role("button", name="Declare its type").click()
    page.locator("[name='/source/types/price/type']").fill("odd")
    page.get_by_role("button", name="Submit the job").click()
    page.get_by_role("alert").wait_for()
    windows.allow("422")
    assert page.locator("[aria-invalid]").count() == 3
    axe_in_each_look(page)
    page.get_by_role("alert").get_by_role("link").first.click()
    assert page.evaluate("document.activeElement.hasAttribute('aria-invalid')")


def test_an_upload_is_shown_and_can_be_cancelled(windows, stack, tmp_path):
    large = tmp_path / "browser_cancelled.csv"
    large.write_bytes(b"a\n" + b"1\n" * 4_000_000)
    page = windows.open("/new")
    page.context.set_offline(True)
    page.get_by_label("Upload a file").set_input_files(large)
    page.get_by_text(re.compile("No connection. Trying again since .* UTC")).wait_for()
    windows.allow("ERR_INTERNET_DISCONNECTED")
    page.get_by_role("button", name="Cancel the upload of browser_cancelled.csv").click()
    assert page.locator("#uploading li").count() == 0
    page.context.set_offline(False)
    throttled(page, 200_000)
    page.get_by_label("Upload a file").set_input_files(large)
    until(page, "document.querySelector('#uploading progress').value > 0")
    page.get_by_role("button", name="Cancel the upload of browser_cancelled.csv").click()
    until(page, "document.querySelectorAll('#uploading li').length === 0")
    eventually(lambda: "browser_cancelled.csv" not in stored_names(stack), "the end of the upload")


def throttled(page, bytes_a_second: int) -> None:
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)


def test_an_upload_goes_on_where_it_was_when_its_gateway_is_killed(
    closed_stack, closed_windows, owner_key, tmp_path
):
    """The gateway has synced at least the bytes of the first seconds, so the rest alone is sent again."""
    large, numbers = tmp_path / "browser_resumed.csv", range(3_000_000)
    large.write_text("key,number\n" + "".join(f"k{no % 3},{no}\n" for no in numbers))
    page = signed_in(closed_windows, owner_key, "/new")
    offsets = []
    page.on("request", lambda request: offsets.append(request.headers.get("upload-offset")))
    throttled(page, 3_000_000)
    page.get_by_label("Upload a file").set_input_files(large)
    until(page, "document.querySelector('#uploading progress').value > 22e6")
    closed_stack.processes[0].kill()
    page.get_by_text(re.compile("No connection. Trying again since .* UTC")).wait_for()
    closed_stack.gateway()
    closed_stack.processes[0] = closed_stack.processes.pop()
    page.locator("#uploads input:checked").wait_for()
    begun = [int(offset) for offset in offsets if offset is not None]
    assert begun[0] == 0
    assert 0 < begun[-1] < large.stat().st_size
    page.get_by_role("button", name="Look at the data").click()
    page.wait_for_url("**/new?plan=plan_*")
    page.locator("[name='/group_by/0/column']").select_option("key")
    page.get_by_role("button", name="Add an aggregate").click()
    page.locator("[name='/aggregates/1/column']").select_option("number")
    page.locator("[name='/aggregates/1/fn']").select_option("sum")
    page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/job_*")
    job = closed_stack.wait(page.url.rpartition("/")[2])
    assert job["state"] == "succeeded", job["error"]
    found = {row["key"]: (row["count"], int(row["sum_number"])) for row in closed_stack.rows(job["id"])}
    assert found == {f"k{key}": (len(numbers[key::3]), sum(numbers[key::3])) for key in range(3)}
    closed_windows.complaints = [text for text in closed_windows.complaints if "ERR_" not in text]


def stored_names(stack) -> list[str]:
    return [upload["filename"] for upload in stack.http.get("/v1/uploads").json()["items"]]


def answered(page, method: str, *answers) -> None:
    """Give the first requests of a method to the uploads these answers; later ones go to the service."""
    left = list(answers)

    def answer(route):
        if route.request.method == method and left:
            route.fulfill(**left.pop(0))
        else:
            route.fallback()

    page.route("**/v1/tus**", answer)


def refused(error) -> dict:
    return {
        "status": status_and_title(error)[0],
        "content_type": "application/problem+json",
        "json": error.problem(),
    }


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (refused(TooManyUploads("You have 100 uploads")), "You have 100 uploads"),
        (refused(BadRequest("No such length")), "No such length"),
        (
            {"status": 201, "headers": {"Location": "http://[", "Upload-Offset": "0"}},
            "Choose the file again.",
        ),
    ],
    ids=["limit", "request", "broken answer"],
)
def test_an_upload_that_is_refused_is_told_and_the_next_one_goes_on(windows, tmp_path, answer, told):
    files = [tmp_path / "browser_refused.csv", tmp_path / "browser_next.csv"]
    for path in files:
        path.write_text(ORDERS)
    page = windows.open("/new")
    answered(page, "POST", answer)
    page.get_by_label("Upload a file").set_input_files(files)
    page.locator("#uploads li", has_text="browser_next.csv").locator("input:checked").wait_for()
    [line] = page.locator("#uploading li").all()
    assert "browser_refused.csv" in line.inner_text()
    assert told in line.inner_text()
    assert line.locator("progress").count() == 0
    if answer["status"] >= 400:
        windows.allow(str(answer["status"]))


LOGIN = {"status": 200, "content_type": "text/html", "body": "<title>Log in</title>"}


@pytest.mark.parametrize(
    ("method", "answer", "told"),
    [
        ("POST", LOGIN, "Status 200 without the stored bytes"),
        ("PATCH", LOGIN, "Status 200 without the stored bytes"),
        ("PATCH", refused(UploadLocked("Another request writes")), "Another request writes"),
        ("POST", refused(TooManyRequests("Too fast")), "Too fast"),
        ("POST", {"status": 429, "body": "slow down"}, "Status 429"),
    ],
    ids=["login begin", "login bytes", "locked", "limit", "limit of a proxy"],
)
def test_an_upload_waits_before_it_asks_again(windows, tmp_path, method, answer, told):
    path = tmp_path / "browser_waits.csv"
    path.write_text(ORDERS)
    page = windows.open("/new")
    answered(page, method, answer, answer)
    begun = []
    page.on("request", lambda request: request.method == method and begun.append(time.monotonic()))
    page.get_by_label("Upload a file").set_input_files(path)
    page.get_by_text(re.compile(f"{told}.* Trying again since .* UTC")).wait_for()
    page.locator("#uploads input:checked").wait_for()
    assert len(begun) == 3
    assert begun[2] - begun[0] > 1
    if answer["status"] >= 400:
        windows.allow(str(answer["status"]))


def test_an_upload_that_is_cancelled_while_it_begins_is_deleted(windows, stack, tmp_path):
    path = tmp_path / "browser_begun.csv"
    path.write_text(ORDERS)
    page = windows.open("/new")
    held = []
    page.route("**/v1/tus", lambda route: held.append((route, route.fetch())))
    page.get_by_label("Upload a file").set_input_files(path)
    until(page, "document.querySelector('#uploading progress') !== null")
    eventually(lambda: page.evaluate("true") and held, "the beginning")
    assert "browser_begun.csv" in stored_names(stack)
    page.get_by_role("button", name="Cancel the upload of browser_begun.csv").click()
    assert page.locator("#uploading li").count() == 0
    [(route, begun)] = held
    route.fulfill(response=begun)
    eventually(
        lambda: page.evaluate("true") and "browser_begun.csv" not in stored_names(stack),
        "the end of the upload",
    )


def test_a_file_that_cannot_be_read_any_more_is_told(windows, stack, tmp_path):
    gone = tmp_path / "browser_gone.csv"
    gone.write_bytes(b"a\n" + b"1\n" * 1_000_000)
    page = windows.open("/new")
    throttled(page, 200_000)
    page.get_by_label("Upload a file").set_input_files(gone)
    until(page, "document.querySelector('#uploading progress').value > 0")
    gone.write_bytes(b"another\n")
    page.get_by_text("This cannot be read: it has changed").wait_for()
    windows.allow("Failed to load resource: net::ERR_")
    page.get_by_role("button", name="Cancel the upload of browser_gone.csv").click()


def test_keyboard_and_no_javascript(windows, stack):
    uri = stack.write("browser/plain.csv", ORDERS)
    page = windows.open("/new", java_script_enabled=False)
    page.get_by_label("Files where the workers are").fill(uri)
    page.get_by_role("button", name="Look at the data").press("Enter")
    page.wait_for_url("**/new?plan=plan_*")
    page.locator("[name='/output/name']").press("Enter")  # looks again: the first button of the form
    page.wait_for_url("**/new?plan=plan_*")
    page.locator("[name='/aggregates/0/column']").select_option("price")
    page.get_by_role("button", name="Submit the job").press("Enter")
    page.wait_for_url("**/jobs/job_*")
    assert stack.wait(page.url.rpartition("/")[2])["state"] == "succeeded"


def test_a_json_that_is_changed_counts_and_can_be_taken(windows, stack):
    page = windows.open("/new")
    page.get_by_label("Files where the workers are").fill(stack.write("browser/plain.csv", ORDERS))
    page.get_by_role("button", name="Look at the data").click()
    page.locator("#json").wait_for()
    spec = json.loads(page.locator("#json").input_value()) | {"where": "price > 3"}
    page.locator("#json").fill(json.dumps(spec))
    page.locator("#json").blur()
    page.get_by_role("button", name="Take it into the form").click()
    until(page, "document.querySelector(\"[name='/where']\").value === 'price > 3'")
