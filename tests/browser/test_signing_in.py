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
