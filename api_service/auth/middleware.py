"""The checks that each request passes before its handler: whose it is, and whether it may."""

from aiohttp import web

from api_service.app_keys import (
    AUDITED,
    AUTHENTICATOR,
    CALLER,
    CLIENT,
    OPERATIONS,
    PAGE_HANDLERS,
    QUOTA,
    RATES,
    SESSION,
    SESSIONS,
    SETTINGS,
    SHARES,
    TENANT,
)
from api_service.audit import audited
from api_service.auth.authenticator import OWNER, Authenticator
from api_service.auth.credentials import SAFE_METHODS, bearer, check_own_machine, check_own_site
from api_service.auth.rights import Caller, check_job, check_scope
from api_service.auth.sessions import COOKIE, TOKEN_HEADER, check_origin, check_token
from api_service.cors import answer_preflight, is_preflight
from api_service.middleware import is_reserved
from api_service.operations import Handler
from api_service.shares import one_client
from api_service.wire.parameters import only
from shared.errors import TooManyConnections


@web.middleware
async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note the caller of the request, and refuse a request for which the caller has no right.

    Refuse also a query with names that the operation does not have, and answer a preflight request. All this
    is one middleware, since each one costs a client that polls some microseconds. Behind a proxy each
    client has its share of the requests under way. A change is logged.
    """
    if is_preflight(request):
        return await answer_preflight(request)
    if request.method not in SAFE_METHODS and (
        action := request.app[AUDITED].get(request.match_info.handler)
    ):
        return await audited(request, action, _admitted(request, handler))
    return await _admitted(request, handler)


async def _admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    operation = request.app[OPERATIONS].get(request.match_info.handler)
    if operation is None:
        await authenticate(request)
        return await handler(request)
    if operation.scope is not None:
        caller = await authenticate(request)
        check_job(caller, request.match_info["id"] if operation.of_job else None)
        check_scope(caller, operation.scope)
    if request.query_string and not operation.open:
        only(request.query, [parameter.name for parameter in operation.parameters])
    client = request[CLIENT]
    if client.by_proxy and operation.scope is not None:
        with request.app[SHARES].one(one_client(client.address)):
            return await handler(request)
    return await handler(request)


async def authenticate(request: web.Request) -> Caller:
    """The caller of the request, by its key; raises Unauthorized, and TooManyRequests for its tenant.

    While the gateway needs no key, it refuses requests that a web page of another site could have sent.
    """
    if is_reserved(request):
        raise TooManyConnections(
            "This gateway, or this client's address, has as many connections as it may have; try again"
        )
    authenticator = request.app[AUTHENTICATOR]
    if await authenticator.needs_key():
        caller = await _with_key(request, authenticator)
    else:
        check_own_machine(request[CLIENT])
        check_own_site(request.method, request.headers, request.app[SETTINGS].host)
        caller = OWNER
    request[CALLER], request[TENANT] = caller, caller.tenant
    request[QUOTA] = request.app[RATES].take(caller.tenant)
    return caller


async def _with_key(request: web.Request, authenticator: Authenticator) -> Caller:
    """By the `Authorization` header, else by the cookie of a session.

    With a cookie, a change has to come from a page of the dashboard. A form sends its token in its body, so
    the handler of a page checks it there.
    """
    session = request.cookies.get(COOKIE)
    if session is None or "Authorization" in request.headers:
        return await authenticator.caller(bearer(request.headers.getall("Authorization", [])))
    check_origin(request, request.app[SETTINGS].public_url)
    if request.method not in SAFE_METHODS and request.match_info.handler not in request.app[PAGE_HANDLERS]:
        check_token(session, request.headers.get(TOKEN_HEADER))
    request[SESSION] = session
    return await authenticator.caller_of(await request.app[SESSIONS].key(session))
