"""The history of jobs."""

from api_service.handlers import history
from api_service.operations import Operation
from api_service.routes.paths import ID
from api_service.routes.rows import AFTER, LIMIT
from api_service.wire.documents import Page
from api_service.wire.history import EntryDocument

OPERATIONS = (
    Operation(
        method="GET",
        path=f"/v1/jobs/{ID}/history",
        handler=history.of_job,
        summary="Read what happened to a job, oldest first",
        scope="read",
        parameters=(AFTER, LIMIT),
        answers={200: Page[EntryDocument]},
    ),
)
