"""The requests about jobs, plans, results and keys: steps that end with the document of the answer."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import httpx2

from gristmill.client.asking import ask, pause
from gristmill.client.documents import BulkDocument, JobDocument, PlanDocument, ResultDocument, UploadDocument
from gristmill.client.errors import JobFailed
from gristmill.client.job import JobBase
from gristmill.client.moments import Show, of_plan
from gristmill.client.rows import listing, text
from gristmill.client.sources import Content
from gristmill.client.spec import Words, job_spec
from gristmill.client.steps import READ_SECONDS, Query, Request, Sleep, Steps, overheard
from gristmill.client.uploads import upload

PLAN_SECONDS = 30
REPEATABLE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}
SHORT_SECONDS = 2
"""A submit that is waited for is answered within this time, if the job is done by then."""


class JobFilters(TypedDict, total=False):
    """The filters of a list of jobs (docs/http.md). `label` is `"team:growth"`, or a list of such."""

    state: str
    label: str | Sequence[str]
    name: str
    source: str
    created_after: Any
    created_before: Any
    error_code: str


class JobChanges(TypedDict, total=False):
    """The changes of a job (docs/http.md). A label of None goes; a *deadline* of None is none."""

    priority: int
    labels: Mapping[str, str | None] | None
    deadline: str | None


def filter_query(filters: Mapping[str, Any]) -> Query:
    """A list is a parameter for each of its values, a None no parameter."""
    given = {name: value for name, value in filters.items() if value is not None}
    listed = {name: value if isinstance(value, list | tuple) else [value] for name, value in given.items()}
    return [(name, text(value)) for name, values in listed.items() for value in values]


def body_filter(filters: Mapping[str, Any]) -> dict[str, Any]:
    """The filters of a list of jobs as a body has them: `labels` is an object there. Raises ValueError."""
    query = filter_query({name: value for name, value in filters.items() if name != "label"})
    labels = dict(_label(text) for _, text in filter_query({"label": filters.get("label")}))
    return dict(query) | ({"labels": labels} if labels else {})


def _label(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon:
        raise ValueError(f"label={text!r}: write KEY:VALUE, such as 'team:growth'")
    return key, value


def request(
    method: str, path: str, params: Mapping[str, Any] | None, json: object, headers: Mapping[str, str] | None
) -> Steps[httpx2.Response]:
    """Any request. It is sent again only where HTTP says that twice is as once."""
    headers = headers or {}
    safe = method.upper() in REPEATABLE or any(name.lower() == "idempotency-key" for name in headers)
    query = filter_query(params or {})
    made = Request(method=method.upper(), path=path, query=query, headers=headers, json=json, safe=safe)
    return (yield from ask(made))


def get(path: str) -> Steps[Any]:
    return (yield from ask(Request(method="GET", path=path))).json()


def post(path: str, body: object = None, *, safe: bool = True) -> Steps[Any]:
    return (yield from ask(Request(method="POST", path=path, json=body, safe=safe))).json()


def delete(path: str) -> Steps[None]:
    yield from ask(Request(method="DELETE", path=path))


def submit(
    items: Sequence[str | Content],
    words: Words,
    plan_id: str | None,
    key: str | None,
    show: Show,
    wait: int = 0,
) -> Steps[JobDocument]:
    """The stored job; it may be done when it is within *wait* seconds."""
    body = yield from _body(items, words, plan_id, show)
    document: JobDocument = (yield from _keyed("/v1/jobs", body, key, wait)).json()
    return document


def aggregate(
    items: Sequence[str | Content],
    words: Words,
    plan_id: str | None,
    key: str | None,
    show: Show,
    seconds: float | None,
) -> Steps[tuple[str, ResultDocument]]:
    """The id and the result of a new job, once it has succeeded; *seconds* count from its submit."""
    wait = SHORT_SECONDS if seconds is None else max(0, min(SHORT_SECONDS, int(seconds)))
    body = yield from _body(items, words, plan_id, show)
    began = time.monotonic()
    job = JobBase((yield from _keyed("/v1/jobs", body, key, wait)).json())
    left = None if seconds is None else max(0.0, seconds - (time.monotonic() - began))
    return job.id, (yield from job._concluded(left, show))  # noqa: SLF001  # no name for users


def _body(
    items: Sequence[str | Content], words: Words, plan_id: str | None, show: Show
) -> Steps[dict[str, Any]]:
    if plan_id is not None:
        if items or words:
            raise TypeError("a plan has its source and its spec: leave the other arguments out")
        return {"plan": plan_id}
    job_spec([], words)  # a mistake shows before an upload
    return job_spec((yield from uploaded(items, show)), words)


def uploaded(items: Sequence[str | Content], show: Show) -> Steps[list[str]]:
    """The URIs of *items*, once those that are none are uploaded."""
    uris = []
    for item in items:
        uri = item if isinstance(item, str) else (yield from upload(item, show))["uri"]
        uris.append(uri)
    return uris


def _keyed(path: str, body: object, key: str | None, wait: int) -> Steps[httpx2.Response]:
    """A request with an idempotency key, which makes it safe to send again."""
    headers = {"Idempotency-Key": key or uuid.uuid4().hex} | ({"Prefer": f"wait={wait}"} if wait else {})
    request = Request(method="POST", path=path, json=body, headers=headers, read_seconds=READ_SECONDS + wait)
    return (yield from ask(request))


def plan(items: Sequence[str | Content], words: Words, show: Show) -> Steps[PlanDocument]:
    """The dry run, once it is done. Raises JobFailed if the data has a fault."""
    body = yield from _body(items, words, None, show)
    if not words.get("by") and not words.get("spec"):
        body.pop("group_by", None)
    document: PlanDocument = (yield from _keyed("/v1/plans", body, None, PLAN_SECONDS)).json()
    while not document["done"]:
        request = Request(
            method="GET",
            path=f"/v1/plans/{document['id']}",
            headers={"Prefer": f"wait={PLAN_SECONDS}"},
            read_seconds=READ_SECONDS + PLAN_SECONDS,
        )
        show(of_plan(document))
        document = (yield from ask(request)).json()
        if document["done"]:
            show(of_plan(document))
        else:
            yield Sleep(pause(0))
    if document["error"] is not None:
        raise JobFailed(document["id"], document["error"])
    return document


def one_upload(item: str | Content, show: Show, resume: str | None) -> Steps[UploadDocument]:
    if isinstance(item, str):
        raise TypeError(f"{item} is a URI: there is nothing to upload")
    return (yield from upload(item, show, resume))


def change(job_id: str, name: str) -> Steps[JobDocument]:
    """Cancel, pause, resume or retry. A retry is sent once: a second one would meet the running job."""
    document: JobDocument = yield from post(f"/v1/jobs/{job_id}/{name}", safe=name != "retry")
    return document


def change_many(name: str, expected: int, filters: Mapping[str, Any]) -> Steps[BulkDocument]:
    """Cancel or retry all jobs that fit. It is sent once: a second one would find other jobs."""
    body = {"filter": body_filter(filters), "expected": expected}
    document: BulkDocument = yield from post(f"/v1/jobs/{name}", body, safe=False)
    return document


def edit(job_id: str, changes: Mapping[str, Any]) -> Steps[JobDocument]:
    """Another priority, deadline, or labels."""
    document: JobDocument = (
        yield from ask(Request(method="PATCH", path=f"/v1/jobs/{job_id}", json=dict(changes)))
    ).json()
    return document


def version(name: str, number: int | None) -> Steps[ResultDocument]:
    """One version of a named result, the current one without a *number*. Raises LookupError."""
    document: ResultDocument
    if number is None:
        document = yield from get(f"/v1/results/{name}")
        return document
    found: list[ResultDocument] = []
    yield from overheard(listing(f"/v1/results/{name}/versions", []), found.append)
    for document in found:
        if document["version"] == number:
            return document
    raise LookupError(f"the result {name} has no version {number}; client.versions({name!r}) lists them")


def create_key(scopes: Sequence[str], name: str | None, expires: str | None, job: str | None) -> Steps[Any]:
    """The new key with its text. It is sent once: a lost answer leaves a key that is in the list."""
    given = {"scopes": list(scopes), "name": name, "expires": expires, "job": job}
    body = {field: value for field, value in given.items() if value is not None}
    return (yield from post("/v1/keys", body, safe=False))
