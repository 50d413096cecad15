"""Reading the limits of the caller's tenant."""

from aiohttp import web

from api_service.app_keys import TENANT, TENANTS
from api_service.handlers.bodies import json_response
from api_service.wire.tenants import tenant_document


async def read(request: web.Request) -> web.Response:
    tenant = request[TENANT]
    return json_response(tenant_document(tenant, await request.app[TENANTS].show(tenant)))
