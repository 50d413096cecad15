"""The blocking client."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, Unpack

import httpx2

from gristmill.client import operations, rows, transport
from gristmill.client.documents import (
    BulkDocument,
    KeyDocument,
    ResultDocument,
    UploadDocument,
    WorkerDocument,
)
from gristmill.client.operations import JobFilters
from gristmill.client.progress import Progress
from gristmill.client.sources import One, Sources, contents
from gristmill.client.spec import Words
from gristmill.client.sync.driver import Driver
from gristmill.client.sync.job import Job, Plan
from gristmill.client.sync.result import Result
from gristmill.client.words import spelled


class Client(transport.Addressed):
    """A blocking client of one service, for any number of threads.

    *url* is `GRISTMILL_URL` or `http://127.0.0.1:8080` unless given, *api_key* is `GRISTMILL_API_KEY`.
    *progress* is the default of all methods that show it: `"auto"`, False, or a function of each moment.
    *http* is an httpx2.Client of your own, with its base URL and its headers.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        progress: Progress = "auto",
        http: httpx2.Client | None = None,
    ) -> None:
        http = httpx2.Client(**transport.settings(url, api_key)) if http is None else http
        super().__init__(http.base_url)
        self._driver = Driver(http, progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections. Jobs go on."""
        self._driver.http.close()

    @spelled(Words)
    def submit(
        self,
        source: Sources | None = None,
        *,
        plan: Plan | str | None = None,
        idempotency_key: str | None = None,
        progress: Progress | None = None,
        **words: Unpack[Words],
    ) -> Job:
        """Store a job and return it at once.

        *source* is a path, a pattern, a URI, an open file, a frame or an Arrow table, or a list of these.
        All but URIs are uploaded first, with *progress*. The words are those of docs/spec.md.
        *plan* is a dry run to begin with, and takes no words.
        The same *idempotency_key* with the same spec is the same job.
        Raises InvalidRequest for a wrong spec.
        """
        plan_id = plan.id if isinstance(plan, Plan) else plan
        with self._driver.show(progress) as show:
            steps = operations.submit(contents(source), words, plan_id, idempotency_key, show)
            return Job(self._driver, self._driver.run(steps))

    @spelled(Words)
    def aggregate(
        self,
        source: Sources | None = None,
        *,
        plan: Plan | str | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        progress: Progress | None = None,
        **words: Unpack[Words],
    ) -> Result:
        """Submit a job, wait for it with *progress*, and return its result; arguments as for `submit()`.

        Raises JobFailed, JobCancelled, and JobTimeout *timeout* seconds after the submit.
        The job goes on then.
        """
        plan_id = plan.id if isinstance(plan, Plan) else plan
        with self._driver.show(progress) as show:
            steps = operations.aggregate(contents(source), words, plan_id, idempotency_key, show, timeout)
            job_id, document = self._driver.run(steps)
        return Result(self._driver, document, job_id)

    @spelled(Words)
    def plan(
        self, source: Sources | None = None, *, progress: Progress | None = None, **words: Unpack[Words]
    ) -> Plan:
        """Look at the data without running a job; the words of `submit()`, of which none is needed.

        Raises JobFailed for a fault of the data.
        """
        with self._driver.show(progress) as show:
            return Plan(self._driver, self._driver.run(operations.plan(contents(source), words, show)))

    def job(self, job_id: str) -> Job:
        """The job with this id. Raises NotFound."""
        return Job(self._driver, self._driver.run(operations.get(f"/v1/jobs/{job_id}")))

    @spelled(JobFilters)
    def jobs(self, *, limit: int | None = None, **filters: Unpack[JobFilters]) -> Iterator[Job]:
        """The jobs, newest first, read page by page. *label* is `"team:growth"`, or a list of such."""
        query = operations.filter_query(filters)
        steps = rows.listing("/v1/jobs", query, lambda item: Job(self._driver, item), limit)
        return self._driver.items(steps)

    @spelled(JobFilters)
    def cancel_jobs(self, *, expected: int, **filters: Unpack[JobFilters]) -> BulkDocument:
        """End all jobs that fit the filters of `jobs()`, at most 1,000.

        Raises Conflict, and changes none, unless *expected* jobs fit.
        """
        return self._driver.run(operations.change_many("cancel", expected, filters))

    @spelled(JobFilters)
    def retry_jobs(self, *, expected: int, **filters: Unpack[JobFilters]) -> BulkDocument:
        """Bring all failed or cancelled jobs back that fit the filters of `jobs()`, at most 1,000.

        Raises Conflict, and changes none, unless *expected* jobs fit.
        """
        return self._driver.run(operations.change_many("retry", expected, filters))

    def result(self, name: str, version: int | None = None) -> Result:
        """A named result, in its current version unless one is given. Raises NotFound, LookupError."""
        return Result(self._driver, self._driver.run(operations.version(name, version)))

    def results(self, *, limit: int | None = None) -> Iterator[Result]:
        """The named results by name, each in its current version."""
        return self._driver.items(rows.listing("/v1/results", [], self._result, limit))

    def versions(self, name: str) -> Iterator[Result]:
        """The versions of a named result, newest first."""
        return self._driver.items(rows.listing(f"/v1/results/{name}/versions", [], self._result))

    def _result(self, document: ResultDocument) -> Result:
        return Result(self._driver, document)

    def delete_result(self, name: str, version: int | None = None) -> None:
        """Delete a named result with its view, or one version that is not the current one."""
        path = f"/v1/results/{name}"
        self._driver.run(operations.delete(path if version is None else f"{path}/versions/{version}"))

    def upload(
        self, source: One, *, resume: str | None = None, progress: Progress | None = None
    ) -> UploadDocument:
        """Store a file. Its `uri` can be the source of any number of jobs.

        Raises UploadInterrupted when a large file breaks off; its `upload_id` is *resume* of the next call.
        """
        (item,) = contents(source)
        with self._driver.show(progress) as show:
            return self._driver.run(operations.one_upload(item, show, resume))

    def uploads(self, *, limit: int | None = None) -> Iterator[UploadDocument]:
        """The stored files, newest first. Needs a key with `admin`."""
        return self._driver.items(rows.listing("/v1/uploads", [], limit=limit))

    def delete_upload(self, upload_id: str) -> None:
        """Delete a stored or an unfinished file."""
        self._driver.run(operations.delete(f"/v1/uploads/{upload_id}"))

    def workers(self) -> Iterator[WorkerDocument]:
        """The workers. Needs a key of the tenant `default` with `admin`."""
        return self._driver.items(rows.listing("/v1/workers", []))

    def drain(self, worker_id: str) -> WorkerDocument:
        """Ask a worker to finish its units and end."""
        worker: WorkerDocument = self._driver.run(operations.post(f"/v1/workers/{worker_id}/drain"))
        return worker

    def keys(self) -> Iterator[KeyDocument]:
        """The API keys, newest first, without their texts."""
        return self._driver.items(rows.listing("/v1/keys", []))

    def create_key(
        self,
        scopes: Sequence[str],
        *,
        name: str | None = None,
        expires: str | None = None,
        job: str | None = None,
    ) -> KeyDocument:
        """A new API key. Its text, `key`, is shown only this once.

        *expires* is a duration such as `15m`.
        """
        key: KeyDocument = self._driver.run(operations.create_key(scopes, name, expires, job))
        return key

    def revoke_key(self, key_id: str) -> None:
        """End a key, and those that it made."""
        self._driver.run(operations.delete(f"/v1/keys/{key_id}"))

    def ready(self) -> dict[str, Any]:
        """The readiness of the service, with its count of workers.

        Raises ServiceError while it is not ready.
        """
        found: dict[str, Any] = self._driver.run(operations.get("/readyz"))
        return found

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Any request of docs/http.md, with the key, the retries and the exceptions of the other methods.

        *path* begins with `/v1/`. A list in *params* is a parameter for each of its values.
        """
        return self._driver.run(operations.request(method, path, params, json, headers))
