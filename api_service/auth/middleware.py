"""The check that each request passes before its handler."""

from aiohttp import web

from api_service.app_keys import AUTHENTICATOR, SETTINGS, TENANT
from api_service.auth.authenticator import DEFAULT_TENANT
from api_service.auth.credentials import bearer, check_own_site
from api_service.middleware import Handler, is_reserved
from shared.errors import TooManyConnections

_OPEN = frozenset({"/livez", "/readyz"})
"""Health checks need no key and reveal nothing."""


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note the tenant of the request, by its key.

    While the gateway needs no key, refuse requests that a web page of another site could have sent.
    """
    if request.path in _OPEN:
        return await handler(request)
    if is_reserved(request):
        raise TooManyConnections(
            "This gateway, or this client's address, has as many connections as it may have; try again"
        )
    authenticator = request.app[AUTHENTICATOR]
    if await authenticator.needs_key():
        request[TENANT] = await authenticator.tenant(bearer(request.headers.getall("Authorization", [])))
    else:
        check_own_site(request.method, request.headers, request.app[SETTINGS].host)
        request[TENANT] = DEFAULT_TENANT
    return await handler(request)
