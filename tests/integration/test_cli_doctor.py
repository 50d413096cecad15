"""`gristmill doctor`: what a client sees of a service."""

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gristmill.cli.doctor import CHECKS, look, verdicts
from tests.support.command import Command, Within
from tests.support.databases import own_database
from tests.support.launched import any_port
from tests.support.stack import running


def doctor(folder, url, *words, **env):
    ran = Within(folder, GRISTMILL_URL=url, **env).run("doctor", "-o", "json", *words)
    return ran.returncode, {each["check"]: each for each in json.loads(ran.stdout)}


@contextmanager
def answering(body: bytes, date: str = ""):
    """The URL of a program that answers each request with *body*, and with the header Date."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(200)
            self.send_header("Date", date or self.date_time_string())
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_sound_service(stack, tmp_path):
    code, seen = doctor(tmp_path, f"http://127.0.0.1:{stack.port}")
    assert code == 0
    assert list(seen) == list(CHECKS)
    assert {each["level"] for each in seen.values()} == {"ok"}


def test_the_table_is_for_people(stack, tmp_path):
    ran = Within(tmp_path, GRISTMILL_URL=f"http://127.0.0.1:{stack.port}").run("doctor")
    assert ran.returncode == 0
    assert (
        ran.stdout.splitlines()[0]
        == f"ok       reachable  Gristmill answers at http://127.0.0.1:{stack.port}"
    )


def test_no_service_and_another_program(tmp_path):
    code, seen = doctor(tmp_path, f"http://127.0.0.1:{any_port()}")
    assert (code, list(seen), seen["reachable"]["level"]) == (1, ["reachable"], "error")

    with answering(b"[1]") as url:
        code, seen = doctor(tmp_path, url)
    assert code == 1
    assert "is no Gristmill" in seen["reachable"]["found"]


@pytest.mark.parametrize("date", ["yesterday", "Mon, 06 Nov 99999999999999999999 08:49:37 GMT"])
def test_a_date_header_that_is_no_date_tells_no_clock(date, tmp_path):
    with answering(b'{"status": "ok"}', date) as url:
        _, seen = doctor(tmp_path, url)
    assert seen["reachable"]["level"] == "ok"
    assert "clock" not in seen


def test_no_worker_no_redis_and_a_wrong_key(postgres, tmp_path):
    key = "k" * 40
    with (
        own_database(postgres, "cli_doctor") as dsn,
        running(dsn, "redis://127.0.0.1:1/0", tmp_path, workers=0, GRISTMILL_API_KEY=key) as stack,
    ):
        url = f"http://127.0.0.1:{stack.port}"
        code, seen = doctor(tmp_path, url)
        assert code == 1
        assert (seen["ready"]["level"], seen["workers"]["level"], seen["key"]["level"]) == (
            "warning", "error", "error"
        )  # fmt: skip
        assert "gristmill server keys add NAME" in seen["key"]["advice"]
        made = stack.start("api_service", "keys", "add", "NAME")
        made.popen.wait(30)
        text = next(line for line in made.log.read_text().splitlines() if line.startswith("gm_"))
        _, seen = doctor(tmp_path, url, "--api-key", text)
        assert seen["key"]["level"] == "ok"
        stack.sql("UPDATE gristmill_migrations.version SET version_num = '0001'")
        code, seen = doctor(tmp_path, url, "--api-key", text)
        assert (code, seen["ready"]["level"]) == (1, "error")
        assert "gristmill server migrate" in seen["ready"]["found"]


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("clock", {"ahead": 60.0}),
        ("clock", {"ahead": -60.0}),
        ("version", {"api": "9.9.9"}),
        ("key", {"status": 403, "problem": "no scope"}),
        ("workers", {"ready": {"postgres": "ok", "redis": "ok", "workers": {"live": 2, "able": 0}}}),
    ],
)
def test_faults_that_a_sound_service_does_not_have(stack, check, changes):
    seen = look(f"http://127.0.0.1:{stack.port}", None)
    assert {each["check"]: each["level"] for each in verdicts(seen)}[check] == "ok"
    [finding] = [each for each in verdicts(replace(seen, **changes)) if each["check"] == check]
    assert finding["level"] in {"warning", "error"}
    assert finding["advice"]


def test_with_the_settings_of_a_service_it_is_the_services_own_doctor(database_url, redis_url, tmp_path):
    (tmp_path / "storage").mkdir()
    settings = {
        "GRISTMILL_DATABASE_URL": database_url,
        "GRISTMILL_REDIS_URL": redis_url,
        "GRISTMILL_STORAGE": str(tmp_path / "storage"),
    }
    ran = Command(tmp_path, **settings).run("doctor", "--output", "json")
    assert {"rights", "storage", "redis_eviction"} <= {each["check"] for each in json.loads(ran.stdout)}
    other = f"http://127.0.0.1:{any_port()}"
    ran = Command(tmp_path, **settings).run("doctor", "--output", "json", "--url", other)
    assert [each["check"] for each in json.loads(ran.stdout)] == ["reachable"]
