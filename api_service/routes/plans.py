"""Dry runs."""

from api_service.handlers import plans
from api_service.operations import Operation
from api_service.routes.headers import EXAMPLE, IDEMPOTENCY_KEY, PREFER
from api_service.routes.paths import ID
from api_service.wire.bodies import PlanRequest
from api_service.wire.plans import PlanDocument

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/plans",
        handler=plans.submit,
        summary="Look at a source, or plan a job without running it",
        scope="submit",
        headers=(IDEMPOTENCY_KEY, PREFER),
        about="A source alone is enough: group_by and aggregates may be left out.",
        body=PlanRequest,
        example={"source": EXAMPLE["source"]},
        answers={200: PlanDocument, 202: PlanDocument},
        defer_continue=True,
    ),
    Operation(
        method="GET",
        path=f"/v1/plans/{ID}",
        handler=plans.read,
        summary="Read a dry run",
        scope="read",
        headers=(PREFER,),
        answers={200: PlanDocument},
    ),
    Operation(
        method="DELETE",
        path=f"/v1/plans/{ID}",
        handler=plans.delete,
        summary="Delete a dry run, also one that is under way",
        scope="submit",
        answers={204: None},
    ),
)
