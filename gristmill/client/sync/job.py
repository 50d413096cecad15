"""Jobs and dry runs of a blocking client."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, Unpack

from gristmill.client import exports, operations, rows
from gristmill.client.documents import BadRow, Event, JobDocument, PlanDocument, Receipt
from gristmill.client.job import JobBase, PlanBase
from gristmill.client.operations import JobChanges
from gristmill.client.progress import Progress
from gristmill.client.sync.driver import Driver
from gristmill.client.sync.result import Result
from gristmill.client.watching import follow
from gristmill.client.words import spelled


class Job(JobBase):
    """A job of the service, as it was last seen. `document` is all of it, in the words of docs/http.md."""

    def __init__(self, driver: Driver, document: JobDocument) -> None:
        super().__init__(document)
        self._driver = driver

    def status(self) -> JobDocument:
        """The job's document of now."""
        self._seen(self._driver.run(operations.get(self._path)))
        return self.document

    def done(self) -> bool:
        """Whether it has succeeded, failed or was cancelled. It asks, unless that is known."""
        return self.document["done"] or self.status()["done"]

    def wait(self, timeout: float | None = None, progress: Progress | None = None) -> Self:
        """Wait for the end, whatever it is, and show progress.

        *timeout* is in seconds; after it JobTimeout is raised, and the job goes on.
        """
        with self._driver.show(progress) as show:
            self._driver.run(self._awaited(timeout, show))
        return self

    def result(self, timeout: float | None = None, progress: Progress | None = None) -> Result:
        """Wait for the end, and return the result. Raises JobFailed, JobCancelled, JobTimeout."""
        with self._driver.show(progress) as show:
            document = self._driver.run(self._concluded(timeout, show))
        return Result(self._driver, document, self.id)

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Its changes until it is done, or for *timeout* seconds.

        The `data` of `state`, `progress` and `done` is the job, that of `warning` the warning.
        """
        return self._driver.items(follow(self.id, timeout))

    def cancel(self) -> Self:
        """End it. Raises Conflict if it is done."""
        return self._changed("cancel")

    def pause(self) -> Self:
        """Hand out no more of its units. Those under way finish."""
        return self._changed("pause")

    def resume(self) -> Self:
        """Go on after a pause."""
        return self._changed("resume")

    def retry(self) -> Self:
        """Bring a failed or cancelled job back. Its finished chunks stay finished for 24 hours."""
        return self._changed("retry")

    def _changed(self, change: str) -> Self:
        self._seen(self._driver.run(operations.change(self.id, change)))
        return self

    @spelled(JobChanges)
    def edit(self, **changes: Unpack[JobChanges]) -> Self:
        """Change it while it is under way; a label of None goes. Of a job that is done only labels change."""
        self._seen(self._driver.run(operations.edit(self.id, changes)))
        return self

    def delete(self) -> None:
        """Delete a job that is done, with its rows.

        Raises Conflict if it is not done, or if its rows have a name.
        """
        self._driver.run(operations.delete(self._path))

    def receipt(self) -> Receipt:
        """The files that it read, and the place where each row went.

        Raises Conflict unless it has succeeded.
        """
        receipt: Receipt = self._driver.run(operations.get(f"{self._path}/receipt"))
        return receipt

    def bad_rows(self, limit: int | None = None) -> Iterator[BadRow]:
        """The rows in quarantine, in the order of the files."""
        return self._driver.items(rows.listing(f"{self._path}/quarantine", [], limit=limit))

    def stream_bad_rows(self, format: str = "csv") -> Iterator[bytes]:  # noqa: A002  # the name of HTTP
        """The rows in quarantine as the bytes of a file in CSV or NDJSON, as they come."""
        return self._driver.items(exports.streamed(f"{self._path}/quarantine", [], format))

    def download_bad_rows(self, path: str | Path, *, format: str | None = None) -> Path:  # noqa: A002
        """Store the rows in quarantine as a file, which appears once it is complete.

        The name's end tells the format: `.csv` or `.ndjson`.
        """
        place = f"{self._path}/quarantine"
        return self._driver.run(exports.into_file(place, [], path, format, exports.TEXT_FORMATS))

    def units(self, limit: int | None = None, **filters: Any) -> Iterator[Mapping[str, Any]]:
        """Its units; *filters* are `kind` and `state`."""
        query = operations.filter_query(filters)
        return self._driver.items(rows.listing(f"{self._path}/units", query, limit=limit))

    def history(self, limit: int | None = None) -> Iterator[Mapping[str, Any]]:
        """The entries of its history, oldest first."""
        return self._driver.items(rows.listing(f"{self._path}/history", [], limit=limit))

    def future(self) -> Future[Result]:
        """A future of its result, for `concurrent.futures.as_completed` and the like.

        To end the job, call `cancel()` of the job: the future cannot be cancelled.
        """
        return self._driver.watcher.watch(lambda: self.result(progress=False) if self.done() else None)


class Plan(PlanBase):
    """A dry run: a job that only plans. `document` is all of it, in the words of docs/http.md."""

    def __init__(self, driver: Driver, document: PlanDocument) -> None:
        super().__init__(document)
        self._driver = driver

    def submit(self, idempotency_key: str | None = None) -> Job:
        """Run a job that begins with this plan. It fails if a file has changed since."""
        with self._driver.show(False) as show:
            steps = operations.submit([], {}, self.id, idempotency_key, show)
            return Job(self._driver, self._driver.run(steps))

    def delete(self) -> None:
        """Delete it now; without that the service does so after an hour. Jobs that began with it go on."""
        self._driver.run(operations.delete(f"/v1/plans/{self.id}"))
