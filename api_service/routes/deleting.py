"""Deleting jobs and results, and listing the versions of a result."""

from api_service.handlers import deleting
from api_service.operations import Operation
from api_service.routes.paths import ID, NAME
from api_service.routes.rows import AFTER, LIMIT
from api_service.wire.documents import Page, ResultDocument

OPERATIONS = (
    Operation(
        method="DELETE",
        path=f"/v1/jobs/{ID}",
        handler=deleting.job,
        summary="Delete a job that is done, with its rows",
        scope="submit",
        answers={204: None},
    ),
    Operation(
        method="DELETE",
        path=f"/v1/results/{NAME}",
        handler=deleting.result,
        summary="Delete a result with all its versions",
        scope="submit",
        answers={204: None},
    ),
    Operation(
        method="GET",
        path=f"/v1/results/{NAME}/versions",
        handler=deleting.versions,
        summary="List the versions of a result, newest first",
        scope="read",
        parameters=(AFTER, LIMIT),
        answers={200: Page[ResultDocument]},
    ),
    Operation(
        method="DELETE",
        path=f"/v1/results/{NAME}/versions/{{version:[1-9][0-9]{{0,8}}}}",
        handler=deleting.version,
        summary="Delete one version of a result",
        scope="submit",
        answers={204: None},
    ),
)
