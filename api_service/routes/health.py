"""Health checks."""

from api_service.handlers import health
from api_service.operations import Operation
from api_service.wire.health import LifeDocument, ReadinessDocument

OPERATIONS = (
    Operation(
        method="GET",
        path="/livez",
        handler=health.livez,
        summary="Whether the process lives",
        scope=None,
        answers={200: LifeDocument},
    ),
    Operation(
        method="GET",
        path="/readyz",
        handler=health.readyz,
        summary="Whether the gateway can work, and how many workers there are",
        scope=None,
        answers={200: ReadinessDocument},
    ),
)
