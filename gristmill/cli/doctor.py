"""`gristmill doctor`: checks of a service from outside; with the settings of one, its own doctor."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from typer import Exit

from gristmill.cli import codes, output
from gristmill.cli.options import DocumentFormat, Output, Service

SETTING = "GRISTMILL_DATABASE_URL"
DATE_SECONDS = 1.0
"""A Date header tells whole seconds."""
SKEW = 5.0
Finding = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The answers of a service. *failure* tells why there is none, and *ahead* are seconds of its clock.

    *status* and *problem* are those of a request that needs a key. *api* is the version of the service.
    """

    url: str
    own: str
    has_key: bool
    failure: str = ""
    live: bool = False
    ready: Mapping[str, Any] = field(default_factory=dict)
    status: int = 0
    problem: str = ""
    api: str | None = None
    ahead: float | None = None
    doubt: float = 0.0


def doctor(*, shape: Output = DocumentFormat.table, where: Service) -> None:
    """Check a service and say how to mend it.

    With GRISTMILL_DATABASE_URL and no --url it is `gristmill server doctor`.
    """
    if where.url is None and os.environ.get(SETTING):
        from gristmill.cli.server import become

        become("api_service", "doctor", "--output", shape)
    findings = verdicts(look(where.url, where.api_key))
    if shape is DocumentFormat.table:
        _tell(findings)
    else:
        output.show_documents(findings, shape, {})
    if any(each["level"] == "error" for each in findings):
        raise Exit(codes.FAILED)


def verdicts(seen: Seen) -> list[Finding]:
    """A finding for each check whose facts are known."""
    found = ((name, verdict(seen)) for name, verdict in CHECKS.items())
    return [{"check": name, **finding} for name, finding in found if finding]


def look(url: str | None, api_key: str | None) -> Seen:
    """Ask the service; each failure is a fact."""
    import httpx2

    from gristmill.client import transport

    settings = transport.settings(url, api_key)
    own = settings["headers"]["User-Agent"].partition("/")[2]
    known: dict[str, Any] = {
        "url": settings["base_url"], "own": own, "has_key": "Authorization" in settings["headers"]
    }  # fmt: skip
    try:
        with httpx2.Client(**settings, timeout=transport.CONNECT_SECONDS) as http:
            return Seen(**known, **_answers(http))
    except httpx2.HTTPError as error:
        return Seen(**known, failure=str(error) or type(error).__name__)


def _answers(http: Any) -> dict[str, Any]:
    before = time.time()
    live = http.get("/livez")
    after = time.time()
    ready, jobs = http.get("/readyz"), http.get("/v1/jobs", params={"limit": 1})
    described = http.get("/openapi.json")
    told = _told(live.headers.get("Date", ""))
    return {
        "live": _document(live).get("status") == "ok",
        "ready": _document(ready),
        "status": jobs.status_code,
        "problem": str(_document(jobs).get("detail", "")),
        "api": _document(described).get("info", {}).get("version"),
        # Half a second, because the header leaves out the part of the second that is over.
        "ahead": None if told is None else told + DATE_SECONDS / 2 - (before + after) / 2,
        "doubt": DATE_SECONDS / 2 + (after - before) / 2,
    }


def _told(date: str) -> float | None:
    """Seconds since 1970; None if the header is no date."""
    from email.utils import parsedate_to_datetime  # `gristmill --help` need not load it

    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _document(answer: Any) -> dict[str, Any]:
    """The JSON object of an answer; empty if it is none, as from another program."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reachable(seen: Seen) -> Finding:
    if seen.failure:
        return _error(
            f"No service answers at {seen.url}: {seen.failure}",
            "Start one with `gristmill standalone` or `gristmill server serve`, or name another with --url",
        )
    if not seen.live:
        return _error(
            f"The program that answers at {seen.url} is no Gristmill",
            "Name the gateway with --url or GRISTMILL_URL, with the path that its proxy takes off",
        )
    return _ok(f"Gristmill answers at {seen.url}")


def _ready(seen: Seen) -> Finding | None:
    if not seen.live:
        return None
    if "postgres" not in seen.ready:
        return _error(
            f"The gateway is not ready: {seen.ready.get('detail', 'it does not say why')}",
            "Run `gristmill server doctor` where the gateway runs",
        )
    if seen.ready["redis"] != "ok":
        return _warning(
            "The gateway does not reach Redis, so work begins some seconds later",
            "Start Redis, or run `gristmill server doctor` where the gateway runs",
        )
    return _ok("The gateway reaches Postgres and Redis")


def _workers(seen: Seen) -> Finding | None:
    workers = seen.ready.get("workers")
    if not workers:
        return None
    if not workers["live"]:
        return _error("No worker lives, so jobs wait", "Start one with `gristmill server worker`")
    if not workers["able"]:
        return _error(
            f"{workers['live']} workers live, and none of them can work",
            "Look for `worker.cannot_work` in their log: it has the reason",
        )
    return _ok(f"{workers['able']} of {workers['live']} workers can work")


def _key(seen: Seen) -> Finding | None:
    if not seen.live:
        return None
    match seen.status:
        case 200:
            return _ok("The service takes the key" if seen.has_key else "The service needs no key")
        case 401:
            return _error(
                seen.problem or "The service wants a key",
                "Make one with `gristmill server keys add NAME` where the gateway runs, and put it into "
                "GRISTMILL_API_KEY",
            )
        case 403:
            return _warning(seen.problem, "Take a key with the scope read for `gristmill jobs`")
        case _:
            return _error(
                f"A list of jobs is answered with {seen.status}: {seen.problem}",
                "Run `gristmill server doctor` where the gateway runs",
            )


def _version(seen: Seen) -> Finding | None:
    if seen.api is None:
        return None
    if seen.api != seen.own:
        return _warning(
            f"The service is version {seen.api}, and this command is {seen.own}",
            f"pip install 'gristmill=={seen.api}'",
        )
    return _ok(f"The service and this command are version {seen.own}")


def _clock(seen: Seen) -> Finding | None:
    if seen.ahead is None:
        return None
    side = "ahead of" if seen.ahead > 0 else "behind"
    said = f"The clock of the service is {abs(seen.ahead):.0f} s {side} this one"
    if abs(seen.ahead) - seen.doubt > SKEW:
        return _warning(said, "Let both machines follow a time server: `timedatectl set-ntp true`")
    return _ok(said)


CHECKS: Mapping[str, Callable[[Seen], Finding | None]] = {
    "reachable": _reachable,
    "ready": _ready,
    "workers": _workers,
    "key": _key,
    "version": _version,
    "clock": _clock,
}


def _ok(found: str) -> Finding:
    return {"level": "ok", "found": found, "advice": ""}


def _warning(found: str, advice: str) -> Finding:
    return {"level": "warning", "found": found, "advice": advice}


def _error(found: str, advice: str) -> Finding:
    return {"level": "error", "found": found, "advice": advice}


def _tell(findings: Sequence[Finding]) -> None:
    width = max(len(each["check"]) for each in findings)
    for each in findings:
        output.print_line(f"{each['level']:<7}  {each['check']:<{width}}  {each['found']}")
        if each["advice"]:
            output.print_line(f"{'':<7}  {'':<{width}}  -> {each['advice']}")
