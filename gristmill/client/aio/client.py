"""The client for asyncio: the names of the blocking one."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self, Unpack

import httpx2

from gristmill.client import operations, rows, transport
from gristmill.client.aio.driver import AsyncDriver
from gristmill.client.aio.job import AsyncJob, AsyncPlan
from gristmill.client.aio.result import AsyncResult
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
from gristmill.client.sync.client import Client
from gristmill.client.words import described_by, spelled


@described_by(Client)
class AsyncClient(transport.Addressed):
    """A client of one service for asyncio. It has the names and arguments of `Client`.

    Methods that ask are awaited. Those that list, such as `jobs()` and `rows()`, are read with `async for`.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        progress: Progress = "auto",
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        http = httpx2.AsyncClient(**transport.settings(url, api_key)) if http is None else http
        super().__init__(http.base_url)
        self._driver = AsyncDriver(http, progress)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._driver.http.aclose()

    @spelled(Words)
    async def submit(
        self,
        source: Sources | None = None,
        *,
        plan: AsyncPlan | str | None = None,
        idempotency_key: str | None = None,
        progress: Progress | None = None,
        **words: Unpack[Words],
    ) -> AsyncJob:
        plan_id = plan.id if isinstance(plan, AsyncPlan) else plan
        with self._driver.show(progress) as show:
            steps = operations.submit(contents(source), words, plan_id, idempotency_key, show)
            return AsyncJob(self._driver, await self._driver.run(steps))

    @spelled(Words)
    async def aggregate(
        self,
        source: Sources | None = None,
        *,
        plan: AsyncPlan | str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the service goes on
        idempotency_key: str | None = None,
        progress: Progress | None = None,
        **words: Unpack[Words],
    ) -> AsyncResult:
        plan_id = plan.id if isinstance(plan, AsyncPlan) else plan
        with self._driver.show(progress) as show:
            steps = operations.aggregate(contents(source), words, plan_id, idempotency_key, show, timeout)
            job_id, document = await self._driver.run(steps)
        return AsyncResult(self._driver, document, job_id)

    @spelled(Words)
    async def plan(
        self, source: Sources | None = None, *, progress: Progress | None = None, **words: Unpack[Words]
    ) -> AsyncPlan:
        with self._driver.show(progress) as show:
            document = await self._driver.run(operations.plan(contents(source), words, show))
        return AsyncPlan(self._driver, document)

    async def job(self, job_id: str) -> AsyncJob:
        return AsyncJob(self._driver, await self._driver.run(operations.get(f"/v1/jobs/{job_id}")))

    @spelled(JobFilters)
    def jobs(self, *, limit: int | None = None, **filters: Unpack[JobFilters]) -> AsyncIterator[AsyncJob]:
        query = operations.filter_query(filters)
        steps = rows.listing("/v1/jobs", query, lambda item: AsyncJob(self._driver, item), limit)
        return self._driver.items(steps)

    @spelled(JobFilters)
    async def cancel_jobs(self, *, expected: int, **filters: Unpack[JobFilters]) -> BulkDocument:
        return await self._driver.run(operations.change_many("cancel", expected, filters))

    @spelled(JobFilters)
    async def retry_jobs(self, *, expected: int, **filters: Unpack[JobFilters]) -> BulkDocument:
        return await self._driver.run(operations.change_many("retry", expected, filters))

    async def result(self, name: str, version: int | None = None) -> AsyncResult:
        return AsyncResult(self._driver, await self._driver.run(operations.version(name, version)))

    def results(self, *, limit: int | None = None) -> AsyncIterator[AsyncResult]:
        return self._driver.items(rows.listing("/v1/results", [], self._result, limit))

    def versions(self, name: str) -> AsyncIterator[AsyncResult]:
        return self._driver.items(rows.listing(f"/v1/results/{name}/versions", [], self._result))

    def _result(self, document: ResultDocument) -> AsyncResult:
        return AsyncResult(self._driver, document)

    async def delete_result(self, name: str, version: int | None = None) -> None:
        path = f"/v1/results/{name}"
        await self._driver.run(operations.delete(path if version is None else f"{path}/versions/{version}"))

    async def upload(
        self, source: One, *, resume: str | None = None, progress: Progress | None = None
    ) -> UploadDocument:
        (item,) = contents(source)
        with self._driver.show(progress) as show:
            return await self._driver.run(operations.one_upload(item, show, resume))

    def uploads(self, *, limit: int | None = None) -> AsyncIterator[UploadDocument]:
        return self._driver.items(rows.listing("/v1/uploads", [], limit=limit))

    async def delete_upload(self, upload_id: str) -> None:
        await self._driver.run(operations.delete(f"/v1/uploads/{upload_id}"))

    def workers(self) -> AsyncIterator[WorkerDocument]:
        return self._driver.items(rows.listing("/v1/workers", []))

    async def drain(self, worker_id: str) -> WorkerDocument:
        worker: WorkerDocument = await self._driver.run(operations.post(f"/v1/workers/{worker_id}/drain"))
        return worker

    def keys(self) -> AsyncIterator[KeyDocument]:
        return self._driver.items(rows.listing("/v1/keys", []))

    async def create_key(
        self,
        scopes: Sequence[str],
        *,
        name: str | None = None,
        expires: str | None = None,
        job: str | None = None,
    ) -> KeyDocument:
        key: KeyDocument = await self._driver.run(operations.create_key(scopes, name, expires, job))
        return key

    async def revoke_key(self, key_id: str) -> None:
        await self._driver.run(operations.delete(f"/v1/keys/{key_id}"))

    async def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._driver.run(operations.get("/readyz"))
        return found

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        return await self._driver.run(operations.request(method, path, params, json, headers))
