"""Live views: the events of a job, its units, and the workers."""

from api_service.handlers import events, live
from api_service.operations import Operation, text
from api_service.routes.headers import LAST_EVENT_ID
from api_service.routes.paths import ID
from api_service.routes.rows import AFTER, LIMIT
from api_service.wire.documents import Page
from api_service.wire.workers import UnitDocument, WorkerDocument
from shared.core.lifecycle import UnitKind, UnitState

OPERATIONS = (
    Operation(
        method="GET",
        path=f"/v1/jobs/{ID}/events",
        handler=events.of_job,
        summary="Follow a job: its changes as Server-Sent Events",
        scope="read",
        headers=(LAST_EVENT_ID,),
        answers={200: "text/event-stream", 204: None},
    ),
    Operation(
        method="GET",
        path=f"/v1/jobs/{ID}/units",
        handler=live.units_of_job,
        summary="List the units of a job",
        scope="read",
        parameters=(
            text("kind", "Only units of this kind", enum=list(UnitKind)),
            text("state", "Only units in this state", enum=list(UnitState)),
            AFTER,
            LIMIT,
        ),
        answers={200: Page[UnitDocument]},
    ),
    Operation(
        method="GET",
        path="/v1/workers",
        handler=live.search_workers,
        summary="List the workers, and the units that they hold",
        scope="admin",
        parameters=(AFTER, LIMIT),
        answers={200: Page[WorkerDocument]},
    ),
    Operation(
        method="POST",
        path=f"/v1/workers/{ID}/drain",
        handler=live.drain_worker,
        summary="Have a worker finish its units and end",
        scope="admin",
        answers={202: WorkerDocument},
    ),
)
