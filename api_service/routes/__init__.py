"""The whole URL table, by family."""

from collections.abc import Sequence

from aiohttp import web

from api_service.handlers.bodies import defer_continue
from api_service.operations import Handler, Operation
from api_service.routes import (
    bulk,
    changes,
    deleting,
    documents,
    health,
    history,
    jobs,
    keys,
    live,
    plans,
    results,
    tenants,
    tus,
    uploads,
)

OPERATIONS: tuple[Operation, ...] = (
    *health.OPERATIONS,
    *uploads.OPERATIONS,
    *tus.OPERATIONS,
    *jobs.OPERATIONS,
    *bulk.OPERATIONS,
    *changes.OPERATIONS,
    *history.OPERATIONS,
    *plans.OPERATIONS,
    *live.OPERATIONS,
    *results.OPERATIONS,
    *documents.OPERATIONS,
    *keys.OPERATIONS,
    *tenants.OPERATIONS,
    *deleting.OPERATIONS,
)


def by_handler(operations: Sequence[Operation]) -> dict[Handler, Operation]:
    return {operation.handler: operation for operation in operations}


def routes(operations: Sequence[Operation]) -> list[web.RouteDef]:
    return [_route(operation) for operation in operations]


def _route(operation: Operation) -> web.RouteDef:
    if operation.method == "GET":  # and HEAD
        return web.get(operation.path, operation.handler)
    expected = {"expect_handler": defer_continue} if operation.defer_continue else {}
    return web.route(operation.method, operation.path, operation.handler, **expected)
