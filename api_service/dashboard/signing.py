"""Signing in with an API key, and out."""

import re
from contextlib import suppress

from aiohttp import web

from api_service.app_keys import AUTHENTICATOR, CALLER, CHANGED, CLIENT, LINKS, SESSION, SESSIONS, SETTINGS
from api_service.auth.sessions import COOKIE, LASTS, check_origin, is_id
from api_service.dashboard.rendering import form, page, see_other
from shared.errors import Unauthorized

_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x7e]{0,2000}")


def next_path(wanted: str | None) -> str:
    """Where to go on: a path of this gateway, never another site."""
    return wanted if wanted and _OWN_PATH.fullmatch(wanted) else "/"


async def ask(request: web.Request) -> web.Response:
    """The form. Without API keys there is nothing to sign in to."""
    if not await request.app[AUTHENTICATOR].needs_key():
        return see_other(request, "/")
    return page(request, "sign_in.html", next=next_path(request.query.get("next")), error=None)


async def sign_in(request: web.Request) -> web.Response:
    check_origin(request, request.app[SETTINGS].public_url)
    fields = await form(request)
    onward = next_path(fields.get("next"))
    try:
        session, caller = await request.app[SESSIONS].begin(fields.get("key", "").strip())
    except Unauthorized as error:
        return page(request, "sign_in.html", status=401, next=onward, error=error.detail)
    request[CALLER], request[CHANGED] = caller, [caller.key_id or caller.tenant]
    if caller.job is not None and onward == "/":
        onward = f"/jobs/{caller.job}"
    response = see_other(request, onward)
    response.set_cookie(
        COOKIE, session, max_age=int(LASTS.total_seconds()), path=_path(request), httponly=True,
        samesite="Lax", secure=_secure(request),
    )  # fmt: skip
    return response


async def sign_out(request: web.Request) -> web.Response:
    """End the session, whatever the rights of its key are."""
    check_origin(request, request.app[SETTINGS].public_url)
    session = request.cookies.get(COOKIE, "")
    if is_id(session):
        request[SESSION] = session
        await form(request)
        with suppress(Unauthorized):  # a session that has ended, or whose key has
            key = await request.app[SESSIONS].key(session)
            caller = request[CALLER] = await request.app[AUTHENTICATOR].caller_of(key)
            request[CHANGED] = [caller.key_id or caller.tenant]
        await request.app[SESSIONS].end(session)
    response = see_other(request, "/sign-in")
    response.del_cookie(COOKIE, path=_path(request))
    return response


def _path(request: web.Request) -> str:
    """The path that the gateway's URLs begin with, behind a proxy."""
    base = request.app[LINKS].base.split("/", 3)
    return f"/{base[3]}" if len(base) > 3 else "/"


def _secure(request: web.Request) -> bool:
    return request.app[LINKS].base.startswith("https:") or request[CLIENT].scheme == "https"
