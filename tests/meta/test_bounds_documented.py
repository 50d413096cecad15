"""The table "Bounds" of docs/http.md has each bound of the gateway, with the number of the code."""

import re
from pathlib import Path

import pytest

from api_service import app, server
from api_service.auth import sessions
from api_service.handlers import bodies, forms
from api_service.services import encoder, plans, spec_check
from api_service.wire import headers, parameters, row_queries
from shared import log
from shared.core import history
from shared.db import jobs, pool, row_pages, rows
from shared.errors import MalformedJson
from shared.settings import Settings
from shared.spec import bulk
from shared.spec.bodies import check_json

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


def default(name: str) -> int:
    return Settings.model_fields[name].default


def mib(size: int) -> str:
    return f"{size // 1024**2} MiB"


def of_tenant(total: int, one: int) -> str:
    return f"{total}, of one tenant {one}"


BOUNDS = {
    "a spec": [mib(default("max_spec_bytes")), f"{bodies.JSON_SECONDS:.0f} s"],
    "how deep the JSON of a body may be": ["200 levels"],
    "large specs that are checked at once": [
        of_tenant(spec_check.PROCESSES, spec_check.PROCESSES_PER_TENANT),
        f"{spec_check.PERMIT_SECONDS:.0f} s",
        f"{spec_check.CHECK_SECONDS:.0f} s",
    ],
    "a change of a job, or of many": [f"{bodies.BODY_BYTES // 1024} KiB", f"{bulk.MOST_JOBS:,} jobs"],
    "the history of a job": [f"{history.MOST_ENTRIES:,} entries"],
    "an upload": [f"{default('max_upload_bytes') // 1024**4} TiB"],
    "the text fields of a form": [f"{forms.FIELD_BYTES // 1024} KiB"],
    "unfinished resumable uploads of a tenant": [f"{default('max_unfinished_uploads')}"],
    "a dry run": [f"{plans.DEADLINE.total_seconds() / 60:.0f} minutes"],
    "how slowly an upload arrives": [
        f"{default('min_upload_bytes_per_second'):,}",
        f"{bodies.STALLED_SECONDS:.0f} s",
    ],
    "the request line, with the filters and the cursor of a query; each header": ["8,190 bytes"],
    "a request head": [f"{server.IDLE_SECONDS:.0f} s"],
    "an idle connection": [f"{server.IDLE_SECONDS:.0f} s"],
    "`Prefer: wait=`": [f"{headers.MAX_WAIT_SECONDS} s"],
    "`limit` of jobs, results and uploads": [f"{parameters.LIST} unless", f"{parameters.MAX_LIST:,}"],
    "a list of jobs, results, workers or bad rows; the history or the units of a job": [mib(pool.LIST_BYTES)],
    "filters of a query; columns of `order_by`": [
        f"{row_queries.MAX_FILTERS},",
        f"{row_queries.MAX_TERMS}",
    ],
    "a value of a filter that is no text": ["400 characters"],
    "`limit` of a JSON page of rows": [f"{row_queries.PAGE_ROWS} unless"],
    "a JSON page of rows": [mib(row_pages.PAGE_BYTES)],
    "a row in a JSON page": [mib(row_pages.PAGE_BYTES)],
    "a row in a stream": [mib(rows.ROW_BYTES)],
    "an exact count with filters": [f"{rows.COUNT_SECONDS:.0f} s"],
    "a reader of rows": [f"{bodies.STALLED_SECONDS:.0f} s", f"{bodies.BLOCK_BYTES // 1024} kB"],
    "a client that takes nothing of any answer": [f"{server.UNREAD_SECONDS:.0f} s"],
    "events that wait for a client of a stream": ["64 KiB"],
    "pages of rows under way": [
        of_tenant(app.PAGES, app.PAGES_PER_TENANT),
        f"{app.PERMIT_SECONDS:.0f} s",
    ],
    "streams of rows under way": [of_tenant(app.PAGES, app.PAGES_PER_TENANT)],
    "of these, Parquet and Arrow": [
        of_tenant(encoder.PROCESSES, encoder.PROCESSES_PER_TENANT),
        f"{encoder.MEMORY_BYTES // 1024**3} GiB",
    ],
    "jobs, bytes, uploads and requests of a tenant": [],
    "sessions of the dashboard with one key": [f"{sessions.MOST_OF_KEY}"],
    "connections": [f"{server.MAX_DESCRIPTORS:,}"],
    "connections from one address (an IPv6 network of 64 bits)": ["three quarters"],
    "requests under way of one client behind a [trusted proxy](proxy.md#addresses)": [],
    "connections kept for `/livez` and `/readyz` beyond these": [
        f"{server.RESERVED}, of at most {server.RESERVED_SECONDS:.0f} s"
    ],
    "a request that waits for Postgres, and a statement in it; the next block of a stream": [
        f"{app.ANSWER_SECONDS:.0f} s",
        f"{jobs.CHANGE_SECONDS:.0f} s",
        f"{rows.FETCH_SECONDS:.0f} s",
    ],
    "log lines of one cause": [
        f"{log.LINES_A_PERIOD} warnings",
        f"{log.PERIOD_SECONDS:.0f} s",
        f"{log.TRACES_A_PERIOD} with",
    ],
}


def table() -> dict[str, str]:
    section = PAGE.partition("\n## Bounds\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| (?!bounded|-)(.*?) \| (.*) \|$", section, re.MULTILINE))


def test_the_page_has_each_bound_and_no_other():
    assert sorted(table()) == sorted(BOUNDS)


@pytest.mark.parametrize("bounded", BOUNDS)
def test_the_numbers_of_a_bound_are_those_of_the_code(bounded):
    assert [number for number in BOUNDS[bounded] if number not in table()[bounded]] == []


@pytest.mark.parametrize("levels", [202, 100_000])
def test_json_that_is_nested_too_deep_is_refused_and_no_stack_overflows(levels):
    check_json(b'{"x": ' + b"[" * 200 + b"]" * 200 + b"}")
    with pytest.raises(MalformedJson, match="the body is not JSON: recursion limit exceeded"):
        check_json(b"[" * levels + b"]" * levels)
