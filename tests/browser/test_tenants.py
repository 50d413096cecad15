"""Two tenants in the browser: no page shows anything of the other, by any id or name in its address."""

import subprocess
import sys

import pytest

from tests.browser.test_signing_in import sign_in

pytestmark = pytest.mark.full

SECRET = "secretofdefault"
"""In each text that the first tenant has, but for the name of its result, which addresses hold."""
RESULT, OTHER = "browser_result_of_default", "browser_other"


@pytest.fixture
def world(closed_stack):
    """What the first tenant has, each by its path, and the key of an administrator of the other tenant."""
    http = closed_stack.http
    rows = f"city,{SECRET}\n{SECRET},1.5\n"
    upload = http.post(f"/v1/uploads?filename={SECRET}.csv", content=rows).json()["id"]
    spec = {
        "source": {"uris": [f"upload:{upload}"]},
        "group_by": ["city"],
        "aggregates": [{"fn": "sum", "column": SECRET, "as": "sum_of"}],
        "output": {"name": RESULT},
        "labels": {"team": SECRET},
    }
    job = closed_stack.run(spec)
    assert job["state"] == "succeeded", job["error"]
    failed = closed_stack.run(spec | {"source": {"uris": [closed_stack.write(f"{SECRET}.csv", "city\na\n")]}})
    assert failed["state"] == "failed"
    plan = http.post("/v1/plans", json={"source": spec["source"]}).json()["id"]
    words = [sys.executable, "-m", "api_service", "keys", "add", "other", "--tenant", OTHER]
    made = subprocess.run(words, env=closed_stack.env, capture_output=True, text=True, check=True)
    return {"jobs": (job["id"], failed["id"]), "upload": upload, "plan": plan, "key": made.stdout.strip()}


def pages_of(world) -> list[str]:
    own = ["", "/live", "/strip", "/rows", "/rows/filter", "?chunks=0"]
    return [
        *(f"/jobs/{job}{path}" for job in world["jobs"] for path in own),
        *(f"/new?from={job}" for job in world["jobs"]),
        f"/new?plan={world['plan']}",
        *(f"/results/{RESULT}{path}" for path in ("", "/versions", "/delete", "?version=1", "/filter")),
        *(f"/v1/jobs/{job}/{path}" for job in world["jobs"] for path in ("units", "history", "quarantine")),
        f"/v1/uploads/{world['upload']}",
    ]


def lists_of(world) -> list[str]:
    return [
        "/",
        "/jobs",
        "/results",
        "/new",
        "/jobs?label=team:x",
        f"/jobs?source={world['upload']}",
        "/new?upload=x",
    ]


def test_no_page_shows_anything_of_another_tenant(closed_stack, closed_windows, world):
    page = sign_in(closed_windows, world["key"], "/jobs")
    page.wait_for_url("**/jobs")
    for path in lists_of(world):
        answer = page.goto(path)
        assert answer.status == 200, path
        assert SECRET not in page.content(), path
        assert RESULT not in page.content(), path
        assert not [each for each in world["jobs"] if each[-8:] in page.content()], path
    for path in pages_of(world):
        answer = page.request.get(path)
        assert answer.status == 404, (path, answer.status)
        assert SECRET not in answer.text(), path
    assert page.goto("/workers").status == 403
    assert page.get_by_role("link", name="Workers").count() == 0
    closed_windows.allow("403")


def test_no_form_of_another_tenant_changes_anything(closed_stack, closed_windows, world):
    page = sign_in(closed_windows, world["key"], "/jobs")
    page.wait_for_url("**/jobs")
    token = page.locator("meta[name=csrf]").get_attribute("content")
    origin = {"Origin": str(closed_stack.http.base_url).rstrip("/")}
    done, failed = world["jobs"]
    for path in (f"/jobs/{failed}/retry", f"/jobs/{done}/cancel", f"/results/{RESULT}/delete"):
        answer = page.request.post(path, form={"csrf": token, "version": "1"}, headers=origin)
        assert answer.status == 404, (path, answer.status, answer.text())
    assert closed_stack.job(failed)["state"] == "failed"
    assert closed_stack.http.get(f"/v1/results/{RESULT}").status_code == 200
    taken = page.request.post(
        "/new", form={"csrf": token, "act": "look", "upload": f"upload:{world['upload']}"}, headers=origin
    )
    assert taken.status == 422
    assert SECRET not in taken.text()
