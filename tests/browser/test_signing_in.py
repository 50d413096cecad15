"""A person signs in with an API key, with and without JavaScript, and sees what the key may see."""

import pytest

from tests.support.browser import Windows, axe_in_each_look

pytestmark = pytest.mark.full


def sign_in(windows: Windows, key: str, path: str = "/jobs", **options):
    page = windows.open(path, **options)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    return page


def made_key(stack, *scopes: str) -> str:
    return stack.http.post("/v1/keys", json={"scopes": scopes}).json()["key"]


@pytest.mark.parametrize("script", [True, False], ids=["JavaScript", "without JavaScript"])
def test_a_key_opens_the_page_that_was_asked_for_until_signing_out(closed_windows, owner_key, script):
    page = sign_in(closed_windows, owner_key, "/jobs?state=failed", java_script_enabled=script)
    page.wait_for_url("**/jobs?state=failed")
    assert page.get_by_role("heading", level=1).inner_text() == "Jobs"
    [cookie] = page.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Lax"
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    assert page.context.cookies() == []
    page.goto("/jobs")
    assert "/sign-in?next=" in page.url


def test_a_wrong_key_is_told_beside_the_form(closed_windows):
    page = sign_in(closed_windows, "gm_" + "x" * 43)
    assert "No such API key" in page.get_by_role("alert").inner_text()
    axe_in_each_look(page)
    closed_windows.allow("401")


def test_a_key_that_only_reads_sees_no_buttons_that_change(closed_stack, closed_windows):
    page = sign_in(closed_windows, made_key(closed_stack, "read"))
    page.wait_for_url("**/jobs")
    assert page.get_by_role("link", name="New job").count() == 0
    assert page.get_by_role("button").all_inner_texts() == ["Sign out", "Filter"]


def test_the_form_is_accessible(closed_windows):
    axe_in_each_look(closed_windows.open("/sign-in"))


def test_a_page_whose_session_has_ended_leads_to_the_form(closed_windows, owner_key):
    page = sign_in(closed_windows, owner_key, "/")
    page.get_by_role("heading", name="Overview").wait_for()
    page.context.clear_cookies()
    page.wait_for_url("**/sign-in?next=%2F")
    closed_windows.allow("401")


def test_the_form_of_a_job_stays_when_its_session_has_ended(closed_windows, owner_key, tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("country,price\nKR,1.5\n")
    page = sign_in(closed_windows, owner_key, "/new")
    page.get_by_label("Upload a file").set_input_files(path)
    page.locator("#uploads input:checked").wait_for()
    page.get_by_role("button", name="Look at the data").click()
    page.wait_for_url("**/new?plan=plan_*")
    spec = page.locator("#json").input_value()
    page.context.clear_cookies()
    page.locator("[name='/where']").fill("price > 1")
    page.get_by_role("button", name="Add an aggregate").click()
    page.get_by_role("alert").get_by_text("Your session has ended").wait_for()
    page.wait_for_load_state("networkidle")
    assert page.get_by_role("alert").get_by_text("Your session has ended").count() == 1
    assert page.locator("[name='/where']").input_value() == "price > 1"
    assert page.locator("#json").input_value() == spec
    assert page.get_by_role("heading", level=1).inner_text() == "New job"
    axe_in_each_look(page)
    closed_windows.allow("401")
