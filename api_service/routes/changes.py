"""Changing jobs that were submitted."""

from api_service.handlers import changes
from api_service.operations import Operation
from api_service.routes.headers import IF_MATCH
from api_service.routes.paths import ID
from api_service.wire.documents import JobDocument
from shared.spec.changes import Changes

OPERATIONS = (
    Operation(
        method="PATCH",
        path=f"/v1/jobs/{ID}",
        handler=changes.change,
        summary="Change the priority, labels or deadline of a job",
        scope="submit",
        headers=(IF_MATCH,),
        body=Changes,
        example={"priority": 9, "labels": {"tier": "gold"}},
        media="application/merge-patch+json",
        answers={200: JobDocument},
        defer_continue=True,
    ),
)
