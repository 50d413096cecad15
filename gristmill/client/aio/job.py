"""Jobs and dry runs of the client for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self, Unpack

from gristmill.client import exports, operations, rows
from gristmill.client.aio.driver import AsyncDriver
from gristmill.client.aio.result import AsyncResult
from gristmill.client.documents import BadRow, Event, JobDocument, PlanDocument, Receipt
from gristmill.client.job import JobBase, PlanBase
from gristmill.client.operations import JobChanges
from gristmill.client.progress import Progress
from gristmill.client.sync.job import Job, Plan
from gristmill.client.watching import follow
from gristmill.client.words import described_by, spelled


@described_by(Job)
class AsyncJob(JobBase):
    """A job of the service, as it was last seen. `document` is all of it, in the words of docs/http.md."""

    def __init__(self, driver: AsyncDriver, document: JobDocument) -> None:
        super().__init__(document)
        self._driver = driver

    async def status(self) -> JobDocument:
        self._seen(await self._driver.run(operations.get(self._path)))
        return self.document

    async def done(self) -> bool:
        return self.document["done"] or (await self.status())["done"]

    async def wait(self, timeout: float | None = None, progress: Progress | None = None) -> Self:  # noqa: ASYNC109
        with self._driver.show(progress) as show:
            await self._driver.run(self._awaited(timeout, show))
        return self

    async def result(self, timeout: float | None = None, progress: Progress | None = None) -> AsyncResult:  # noqa: ASYNC109
        with self._driver.show(progress) as show:
            document = await self._driver.run(self._concluded(timeout, show))
        return AsyncResult(self._driver, document, self.id)

    def events(self, timeout: float | None = None) -> AsyncIterator[Event]:
        return self._driver.items(follow(self.id, timeout))

    async def cancel(self) -> Self:
        return await self._changed("cancel")

    async def pause(self) -> Self:
        return await self._changed("pause")

    async def resume(self) -> Self:
        return await self._changed("resume")

    async def retry(self) -> Self:
        return await self._changed("retry")

    async def _changed(self, change: str) -> Self:
        self._seen(await self._driver.run(operations.change(self.id, change)))
        return self

    @spelled(JobChanges)
    async def edit(self, **changes: Unpack[JobChanges]) -> Self:
        self._seen(await self._driver.run(operations.edit(self.id, changes)))
        return self

    async def delete(self) -> None:
        await self._driver.run(operations.delete(self._path))

    async def receipt(self) -> Receipt:
        receipt: Receipt = await self._driver.run(operations.get(f"{self._path}/receipt"))
        return receipt

    def bad_rows(self, limit: int | None = None) -> AsyncIterator[BadRow]:
        return self._driver.items(rows.listing(f"{self._path}/quarantine", [], limit=limit))

    def stream_bad_rows(self, format: str = "csv") -> AsyncIterator[bytes]:  # noqa: A002
        return self._driver.items(exports.streamed(f"{self._path}/quarantine", [], format))

    async def download_bad_rows(self, path: str | Path, *, format: str | None = None) -> Path:  # noqa: A002
        place = f"{self._path}/quarantine"
        return await self._driver.run(exports.into_file(place, [], path, format, exports.TEXT_FORMATS))

    def units(self, limit: int | None = None, **filters: Any) -> AsyncIterator[Mapping[str, Any]]:
        query = operations.filter_query(filters)
        return self._driver.items(rows.listing(f"{self._path}/units", query, limit=limit))

    def history(self, limit: int | None = None) -> AsyncIterator[Mapping[str, Any]]:
        return self._driver.items(rows.listing(f"{self._path}/history", [], limit=limit))

    def future(self) -> "asyncio.Task[AsyncResult]":
        """A task that ends with its result. To end the job, call `cancel()` of the job, not of the task."""
        return asyncio.ensure_future(self.result(progress=False))


@described_by(Plan)
class AsyncPlan(PlanBase):
    """A dry run: a job that only plans. `document` is all of it, in the words of docs/http.md."""

    def __init__(self, driver: AsyncDriver, document: PlanDocument) -> None:
        super().__init__(document)
        self._driver = driver

    async def submit(self, idempotency_key: str | None = None) -> AsyncJob:
        with self._driver.show(False) as show:
            steps = operations.submit([], {}, self.id, idempotency_key, show)
            return AsyncJob(self._driver, await self._driver.run(steps))

    async def delete(self) -> None:
        await self._driver.run(operations.delete(f"/v1/plans/{self.id}"))
