"""The description of the API for programs and for people. It tells nothing of any data."""

from api_service.handlers import openapi
from api_service.operations import Operation
from shared.core.entities import Document

OPERATIONS = (
    Operation(
        method="GET",
        path="/openapi.json",
        handler=openapi.read,
        summary="This document",
        scope=None,
        answers={200: Document},
    ),
    Operation(
        method="GET",
        path="/docs",
        handler=openapi.page,
        summary="A page that shows this document",
        scope=None,
        answers={200: "text/html"},
    ),
    Operation(
        method="GET",
        path="/docs/{file:[a-z.-]{1,64}}",
        handler=openapi.asset,
        summary="A file of that page",
        scope=None,
        answers={200: ("text/javascript", "text/css")},
    ),
)
