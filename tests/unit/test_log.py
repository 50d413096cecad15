"""What reaches the log, and how often."""

import io
import json
import logging
import sys

import pytest
import structlog

from api_service.auth.credentials import new_key
from shared import log
from shared.settings import Settings

FORMATS = ["json", "console"]


@pytest.fixture
def written(monkeypatch):
    """Configure the log in a format; the answer is a function that tells what was written since."""
    root, before = logging.getLogger(), (logging.getLogger().handlers[:], logging.getLogger().level)
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")

    def configured(log_format: str, **settings):
        monkeypatch.setattr(sys, "stderr", out)
        log.configure(
            Settings(database_url="postgresql://x", redis_url="redis://x", log_format=log_format, **settings)
        )

        def text() -> str:
            out.flush()
            return out.buffer.getvalue().decode()

        return text

    yield configured
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def fail(words: str):
    raise ValueError(words)


@pytest.mark.parametrize("log_format", FORMATS)
def test_no_key_and_no_password_is_written_wherever_it_stands(written, log_format):
    key, own = new_key(), "a-key-of-the-settings-with-40-characters"
    text = written(log_format, api_key=own)
    logger = structlog.get_logger()
    logger.warning(
        "request",
        path=f"/v1/jobs/{key}",
        query={"key": [key, own]},
        header=f"Authorization: Bearer {own[:20]}",
    )
    logger.warning(f"event {key}", url="postgresql://user:hunter2@host/db", quoted=key.replace("_", "%5F", 1))
    logging.getLogger("foreign").warning("asked for %s with %s", f"/{key}", own)
    for name in ("foreign", "other"):
        try:
            fail(f"no such path: /{key}?key={own}")
        except ValueError:
            (logging.getLogger(name) if name == "foreign" else logger).exception("request.bug")

    for secret in (key, key[3:], own, own[:20], "hunter2"):
        assert secret not in text()
    assert text().count("gm_…" if log_format == "console" else "gm_\\u2026") >= 5
    assert "user:" in text()


@pytest.mark.parametrize("log_format", FORMATS)
def test_no_text_from_outside_forges_a_line_or_reorders_a_terminal(written, log_format):
    text = written(log_format)
    odd = [
        "\n2026 [error] forged",
        "\r",
        "\x1b[31m",
        "\x9b",
        "\x7f",
        "\u2028",
        "\u2029",
        "\u202e",
        "\u2066",
        "\u200f",
        "\u061c",
        "\ud800",
        "\x00",
    ]
    for each in odd:
        structlog.get_logger().info("request", path=f"/a{each}b", names=[each], file={each: each})
        logging.getLogger("foreign").warning("no %s", each)
        try:
            fail(each)
        except ValueError:
            structlog.get_logger().exception(f"bug {each.encode('unicode_escape').decode()}")

    lines = text().split("\n")
    kept = (
        lines[:-1] if log_format == "json" else [line for line in lines[:-1] if not line.startswith("  | ")]
    )
    assert len(kept) == 3 * len(odd)
    assert all(line.isprintable() for line in lines)
    if log_format == "json":
        assert [json.loads(line)["path"] for line in lines[:-1:3]] == [
            f"/a{each.encode('unicode_escape').decode()}b" for each in odd
        ]


def test_ordinary_text_of_any_script_is_left_as_it_is():
    for text in ("Äpfel und Birnen", "日本語", "naïve \\ C:\\temp", "", "🙂"):
        assert log.printable(text) == text


def records(handler) -> list[str]:
    return handler.stream.getvalue().splitlines()


def test_a_cause_that_repeats_is_written_a_few_times_and_then_counted():
    now = [0.0]
    handler = log.Handler(clock=lambda: now[0])
    handler.stream = io.StringIO()

    def say(event: str, level: int = logging.WARNING, error: Exception | None = None) -> None:
        info = None if error is None else (type(error), error, error.__traceback__)
        handler.handle(logging.LogRecord("gateway", level, "", 0, event, None, info))

    def bug(where: str) -> Exception:
        try:
            fail(where)
        except ValueError as error:
            return error
        raise AssertionError

    for _ in range(1234):
        say("no descriptors")
        say("bug", logging.ERROR, bug("x"))
        say("a request", logging.INFO)
    said = records(handler)
    assert said.count("no descriptors") == log.LINES_A_PERIOD
    assert (said.count("bug"), said.count("Traceback (most recent call last):")) == (
        log.TRACES_A_PERIOD,
        log.TRACES_A_PERIOD,
    )
    assert said.count("a request") == 1234

    say("another cause")
    assert records(handler)[-1] == "another cause"
    now[0] = log.PERIOD_SECONDS
    say("no descriptors")
    last = records(handler)[-3:]
    assert last[0] == f"repeated {1234 - log.LINES_A_PERIOD:,} more times: no descriptors"
    assert last[1].startswith(f"repeated {1234 - log.TRACES_A_PERIOD:,} more times: bug: ValueError in ")
    assert last[2] == "no descriptors"


def test_the_causes_that_are_remembered_are_few():
    handler = log.Handler(clock=lambda: 0.0)
    handler.stream = io.StringIO()
    for number in range(3 * log._CAUSES):
        handler.handle(logging.LogRecord("gateway", logging.WARNING, "", 0, f"event {number}", None, None))

    assert len(handler._periods) <= log._CAUSES + 1
    assert len(records(handler)) == 3 * log._CAUSES
