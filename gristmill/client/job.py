"""The parts of jobs and plans that both clients share."""

import html
from typing import Any

from gristmill.client import moments
from gristmill.client.documents import (
    Event,
    Findings,
    JobDocument,
    JobState,
    PlanDocument,
    Problem,
    ResultDocument,
    Warned,
)
from gristmill.client.errors import JobCancelled, JobFailed, JobTimeout
from gristmill.client.moments import Show
from gristmill.client.steps import Steps, overheard
from gristmill.client.watching import follow


class JobBase:
    """A job as it was last seen."""

    def __init__(self, document: JobDocument) -> None:
        self.document = document

    @property
    def id(self) -> str:
        """Its id, by which `client.job(id)` finds it from anywhere."""
        return self.document["id"]

    @property
    def _path(self) -> str:
        return f"/v1/jobs/{self.id}"

    @property
    def state(self) -> JobState:
        """The state when it was last seen; `status()` asks for the present one."""
        return self.document["state"]

    @property
    def name(self) -> str | None:
        """The name under which its result is published, None without one."""
        result = self.document["result"]
        output: dict[str, Any] = (self.document.get("spec") or {}).get("output") or {}
        return output.get("name") if result is None else result["name"]

    @property
    def warnings(self) -> list[Warned]:
        """The warnings that were known when it was last seen.

        Raises LookupError for a job of a list, which comes without them.
        """
        if "warnings" not in self.document:
            raise LookupError(f"{self.id} comes from a list, without its warnings: call status() first")
        return self.document["warnings"]

    @property
    def error(self) -> Problem | None:
        """The cause of its failure, None without one."""
        return self.document["error"]

    def _seen(self, document: JobDocument) -> None:
        """Take a newer document. The parts that lists and events leave out stay."""
        if document["revision"] >= self.document["revision"]:
            self.document = {**self.document, **document}

    def _awaited(self, seconds: float | None, show: Show) -> Steps[None]:
        """Follow it to its end. Raises JobTimeout after *seconds*."""

        def hear(event: Event) -> None:
            if event["name"] != "warning":
                self._seen(event["data"])  # type: ignore[arg-type]  # all others carry the job
                show(moments.of_job(self.document))

        if self.document["done"]:
            return
        show(moments.of_job(self.document))
        try:
            self._seen((yield from overheard(follow(self.id, seconds), hear)))
        except KeyboardInterrupt as stopped:
            stopped.add_note(f"{self.id} goes on: client.job({self.id!r}) finds it again")
            raise
        if not self.document["done"]:
            raise JobTimeout(self.id, seconds or 0.0, self.document)

    def _concluded(self, seconds: float | None, show: Show) -> Steps[ResultDocument]:
        """Its result. Raises JobFailed, JobCancelled, JobTimeout."""
        yield from self._awaited(seconds, show)
        if self.document["result"] is not None:
            return self.document["result"]
        if self.document["error"] is not None:
            raise JobFailed(self.id, self.document["error"])
        raise JobCancelled(self.id)

    def __repr__(self) -> str:
        progress = self.document["progress"]
        chunks = f"{progress['chunks']['done']}/{progress['chunks']['total']} chunks"
        return f"<{type(self).__name__} {self.id} {self.state} {progress['fraction']:.0%} {chunks}>"

    def _repr_html_(self) -> str:
        error = self.document["error"]
        said = f"<pre>{html.escape(error['code'])}: {html.escape(error['detail'])}</pre>" if error else ""
        bar = moments.bar_html(moments.of_job(self.document))
        return f"{bar}<div><code>{html.escape(self.id)}</code></div>{said}"


class PlanBase:
    """A dry run: schema, samples, warnings and estimates of a job that was not run."""

    def __init__(self, document: PlanDocument) -> None:
        self.document = document

    @property
    def id(self) -> str:
        """Its id."""
        return self.document["id"]

    @property
    def findings(self) -> Findings:
        """All that was found, with the estimates `rows`, `groups`, `chunks` and `seconds`."""
        found = self.document["plan"]
        assert found is not None  # one with an error is raised
        return found

    @property
    def schema(self) -> dict[str, str | None]:
        """The columns of the data with their types."""
        return {column["name"]: column["type"] for column in self.findings["columns"]}

    @property
    def sample(self) -> list[dict[str, Any]]:
        """The first records of the first file: `values`, or the reason why one is `bad`."""
        return self.findings["sample"]

    @property
    def warnings(self) -> list[Warned]:
        """The warnings that a job would have."""
        return self.findings["warnings"]

    def __repr__(self) -> str:
        found = self.findings
        return (
            f"<{type(self).__name__} {self.id} {found['format']}, {found['file_count']} files, "
            f"{found['bytes']:,} bytes, {found['column_count']} columns, {len(found['warnings'])} warnings>"
        )

    def _repr_html_(self) -> str:
        records = [record["values"] for record in self.sample if "values" in record]
        return f"<div>{html.escape(repr(self))}</div>{moments.table_html(self.schema, records)}"
