"""Jobs: submit, read, list and change them."""

from api_service.handlers import jobs, quarantine, results
from api_service.operations import Operation, Parameter, text
from api_service.routes.headers import EXAMPLE, IDEMPOTENCY_KEY, IF_NONE_MATCH, PREFER
from api_service.routes.paths import ID
from api_service.routes.rows import AFTER, LIMIT, ROWS, ROWS_ANSWERS
from api_service.wire.bodies import PlanReference
from api_service.wire.documents import JobDocument, Page
from api_service.wire.quarantine import QuarantinePage
from shared.core.entities import Document
from shared.core.lifecycle import JobState
from shared.spec.models import JobSpec

_CHANGES = {
    jobs.cancel: "Cancel a job that is not done",
    jobs.pause: "Hand out none of the job's units",
    jobs.resume: "Hand out the units of a paused job again",
    jobs.retry: "Try a failed or cancelled job again",
}

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/jobs",
        handler=jobs.submit,
        summary="Submit a job",
        scope="submit",
        about="The body is a spec, or the id of a plan to begin with.",
        body=(JobSpec, PlanReference),
        example=EXAMPLE,
        headers=(IDEMPOTENCY_KEY, PREFER),
        answers={200: JobDocument, 202: JobDocument},
        defer_continue=True,
    ),
    Operation(
        method="GET",
        path="/v1/jobs",
        handler=jobs.search,
        summary="List jobs, newest first",
        scope="read",
        parameters=(
            text("state", "Only jobs in this state", enum=list(JobState)),
            Parameter(
                name="label",
                about="Only jobs with this label, as key:value",
                kind={"type": "string", "pattern": "^[^:]+:"},
                repeated=True,
            ),
            text("name", "Only jobs with this output.name"),
            text(
                "source", "Only jobs with this text in one of their source.uris", minLength=1, maxLength=1000
            ),
            text("created_after", "Only jobs made at this time or later", format="date-time"),
            text("created_before", "Only jobs made before this time", format="date-time"),
            text("error_code", "Only jobs that ended with this code"),
            AFTER,
            LIMIT,
        ),
        answers={200: Page[JobDocument]},
    ),
    Operation(
        method="GET",
        path=f"/v1/jobs/{ID}",
        handler=jobs.read,
        summary="Read a job",
        scope="read",
        headers=(PREFER, IF_NONE_MATCH),
        answers={200: JobDocument, 304: None},
    ),
    *(
        Operation(
            method="POST",
            path=f"/v1/jobs/{ID}/{change.__name__}",
            handler=change,
            summary=summary,
            scope="submit",
            answers={202: JobDocument},
            defer_continue=True,
        )
        for change, summary in _CHANGES.items()
    ),
    Operation(
        method="GET",
        path=f"/v1/jobs/{ID}/quarantine",
        handler=quarantine.of_job,
        summary="Read the bad rows that the job keeps aside",
        scope="read",
        parameters=(AFTER, LIMIT, text("format", "The form of the rows", enum=["json", "csv", "ndjson"])),
        answers={200: QuarantinePage},
    ),
    Operation(
        method="GET",
        path=f"/v1/jobs/{ID}/receipt",
        handler=results.receipt_of_job,
        summary="Read the files that the job read, and where every row went",
        scope="read",
        answers={200: Document},
    ),
    Operation(
        method="GET",
        path=f"/v1/jobs/{ID}/rows",
        handler=results.rows_of_job,
        summary="Read the rows that the job made",
        scope="read",
        parameters=ROWS,
        open=True,
        answers=ROWS_ANSWERS,
    ),
)
