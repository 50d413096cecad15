"""The backends of docs/fastapi.md, docs/flask.md and examples/django/, as a web team would run them.

The page runs in Chromium, where that is installed.
"""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import httpx2
import pytest

from gristmill.launcher.servers import free_port
from gristmill.models.django import model
from tests.support.browser import chromium
from tests.support.databases import own_database
from tests.support.shown import blocks
from tests.support.stack import Stack, eventually, running

ROOT = Path(__file__).parents[2]
ORDERS = "country,price\nKR,1.25\nJP,2\nKR,3\nDE,-1\n"
COUNTED = [("KR", 2, "4.25"), ("JP", 1, "2.00"), ("DE", 1, "-1.00")]
COMMANDS = {
    "django": lambda port: ["manage.py", "runserver", "--noreload", str(port)],
    "fastapi": lambda port: ["-m", "uvicorn", "app:app", "--port", str(port)],
    "flask": lambda port: ["-m", "flask", "run", "--port", str(port)],
}
ADMIN = "k" * 32


@pytest.fixture(scope="module")
def ports():
    return {kind: free_port() for kind in COMMANDS}


@pytest.fixture(scope="module")
def stack(postgres, redis_server, ports, tmp_path_factory):
    """A stack with keys, whose gateway lets the pages of all backends in."""
    url, folder = redis_server.rpartition("/")[0] + "/2", tmp_path_factory.mktemp("web")
    origins = ",".join(f"http://127.0.0.1:{port}" for port in ports.values())
    keys = {"GRISTMILL_API_KEY": ADMIN, "GRISTMILL_CORS_ORIGINS": origins}
    with own_database(postgres, "web") as dsn, running(dsn, url, folder, **keys) as stack:
        stack.http.headers["Authorization"] = f"Bearer {ADMIN}"
        yield stack


@pytest.fixture(scope="module")
def backends(stack, ports):
    """The URL of a backend, which is started when it is first asked for."""
    with ExitStack() as exits:
        yield cache(lambda kind: exits.enter_context(backend(stack, kind, ports[kind])))


@contextmanager
def backend(stack: Stack, kind: str, port: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    key = stack.http.post("/v1/keys", json={"scopes": ["submit"]}).json()["key"]
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "GRISTMILL_URL": f"http://127.0.0.1:{stack.port}",
        "GRISTMILL_API_KEY": key,
        "GRISTMILL_DSN": stack.database_url,
    }
    command = [sys.executable, *COMMANDS[kind](port)]
    with (stack.folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=project(kind, stack.folder / kind), env=env, stdout=log, stderr=log
        )
        try:
            eventually(lambda: answers(url), "the backend's start")
            yield url
        finally:
            process.terminate()
            process.wait()


def project(kind: str, folder: Path) -> Path:
    """The files as the page of the documentation says."""
    if kind == "django":
        return shutil.copytree(ROOT / "examples", folder) / "django"
    files = shutil.copytree(ROOT / "examples" / "web", folder)
    code = blocks((ROOT / "docs" / f"{kind}.md").read_text(), "python", tested=True)
    (files / "app.py").write_text("".join(code))
    return files


def answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False


def shown(kind: str, answer: httpx2.Response) -> list[tuple[str, int, str]]:
    """The rows of a backend's own page or answer."""
    if kind != "django":
        return [(row["country"], row["orders"], row["revenue"]) for row in answer.json()]
    cells = re.findall(r"<td>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", answer.text)
    return [(country, int(orders), revenue) for country, orders, revenue in cells]


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_backend_lends_keys_that_can_do_no_more_than_the_page_needs(backends, kind):
    url = backends(kind)
    with httpx2.Client(timeout=30, follow_redirects=True) as http:
        http.get(url)
        own = {"X-CSRFToken": http.cookies.get("csrftoken", "")}
        lent = http.post(f"{url}/uploads", headers=own).json()
        upload = bearer(lent["key"])
        stored = http.post(f"{lent['gateway']}/v1/uploads", headers=upload, content=ORDERS.encode())
        assert http.get(f"{lent['gateway']}/v1/jobs", headers=upload).status_code == 403
        reports = {"url": f"{url}/reports", "headers": own}
        made = http.post(**reports, params={"upload": stored.json()["uri"]}).json()
        read, job = bearer(made["key"]), f"{lent['gateway']}/v1/jobs/{made['job']}"
        eventually(lambda: http.get(job, headers=read).json()["done"], "the job")
        done = http.get(job, headers=read).json()
        assert done["error"] is None
        rows = http.get(f"{job}/rows", headers=read, params={"order_by": "-revenue"}).json()["items"]
        assert [(row["country"], row["orders"], row["revenue"]) for row in rows] == COUNTED
        assert shown(kind, http.get(f"{url}/orders")) == COUNTED
        if kind == "django":
            file = http.get(f"{url}/orders.csv")
            assert file.headers["Content-Disposition"] == 'attachment; filename="orders.csv"'
            cells = [*csv.reader(io.StringIO(file.text))]
            assert cells == [["country", "orders", "revenue"], *([k, str(n), r] for k, n, r in COUNTED)]
        assert http.get(f"{lent['gateway']}/v1/jobs", headers=read).status_code == 403
        refused = http.post(**reports, params={"upload": "upload:upl_" + "0" * 26})
        assert refused.status_code == 422
        assert "upload" in json.dumps(refused.json())
        assert (ROOT / "examples/django/reports/models.py").read_text() == model(done["result"])


def test_a_variable_that_is_not_set_is_named():
    said = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT / "examples" / "django",
        env={name: value for name, value in os.environ.items() if not name.startswith("GRISTMILL_")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.stderr.splitlines()[-1].endswith(
        "GRISTMILL_URL is not set: docs/web.md says where its value comes from"
    )


def test_a_django_view_leads_to_the_form_before_the_first_job(stack, backends):
    stack.http.delete("/v1/results/orders_by_country")
    url = backends("django")
    with httpx2.Client(timeout=30) as http:
        answer = http.get(f"{url}/orders")
        assert (answer.status_code, answer.headers["Location"]) == (302, "/")
        assert http.post(f"{url}/uploads").status_code == 403  # without the CSRF token


@pytest.mark.parametrize("kind", ["django", "fastapi"])
def test_the_page_uploads_shows_progress_and_rows(backends, tmp_path, kind):
    orders, broken = tmp_path / "orders.csv", tmp_path / "broken.csv"
    orders.write_text(ORDERS)
    broken.write_text("a,b\n1,2\n")
    url = backends(kind)
    with chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        page.set_input_files("input[type=file]", broken)
        page.click("button")
        page.wait_for_function("/country|price/.test(document.getElementById('state').value)")
        page.evaluate("""() => {
            const fraction = Object.getOwnPropertyDescriptor(HTMLProgressElement.prototype, "value");
            Object.defineProperty(document.getElementById("progress"), "value", {
                set(value) { sessionStorage.progress = value; fraction.set.call(this, value); },
            });
        }""")
        page.set_input_files("input[type=file]", orders)
        page.click("button")
        page.wait_for_selector("#rows tr:nth-child(3)")
        assert page.evaluate("sessionStorage.progress") == "1"
        cells = page.eval_on_selector_all(
            "#rows tr", "rows => rows.map(r => [...r.cells].map(c => c.textContent.trim()))"
        )
        assert sorted(tuple(row[:3]) for row in cells) == sorted(
            (country, str(orders), revenue) for country, orders, revenue in COUNTED
        )
        if kind == "django":
            widths = page.eval_on_selector_all("rect", "bars => bars.map(b => b.getBBox().width)")
            assert widths == [300, 141, 0]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
