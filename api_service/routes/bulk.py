"""Cancelling and retrying many jobs."""

from api_service.handlers import bulk
from api_service.operations import Operation
from api_service.wire.bulk import BulkDocument
from shared.spec.bulk import BulkRequest

_CHANGES = {
    bulk.cancel: "Cancel every job that fits a filter",
    bulk.retry: "Try every job that fits a filter again",
}

OPERATIONS = tuple(
    Operation(
        method="POST",
        path=f"/v1/jobs/{change.__name__}",
        handler=change,
        summary=summary,
        scope="submit",
        body=BulkRequest,
        example={"filter": {"name": "sales", "state": "queued"}, "expected": 3},
        answers={200: BulkDocument},
        defer_continue=True,
    )
    for change, summary in _CHANGES.items()
)
