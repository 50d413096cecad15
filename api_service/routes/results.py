"""Named results and their rows."""

from api_service.handlers import results
from api_service.operations import Operation
from api_service.routes.paths import NAME
from api_service.routes.rows import AFTER, LIMIT, ROWS, ROWS_ANSWERS
from api_service.wire.documents import Page, ResultDocument

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/results",
        handler=results.search,
        summary="List the named results by name, each as its current version",
        scope="read",
        parameters=(AFTER, LIMIT),
        answers={200: Page[ResultDocument]},
    ),
    Operation(
        method="GET",
        path=f"/v1/results/{NAME}",
        handler=results.read,
        summary="Read the current version of a result",
        scope="read",
        answers={200: ResultDocument},
    ),
    Operation(
        method="GET",
        path=f"/v1/results/{NAME}/rows",
        handler=results.rows_of_result,
        summary="Read the rows of a result",
        scope="read",
        parameters=ROWS,
        open=True,
        answers=ROWS_ANSWERS,
    ),
)
