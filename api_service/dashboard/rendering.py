"""Pages are made of Jinja templates, and carry a policy that runs only the gateway's own files."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from multidict import MultiDict

from api_service.app_keys import CALLER, CLIENT, LINKS, REQUEST_ID, SESSION
from api_service.auth.rights import covered
from api_service.auth.sessions import TOKEN_FIELD, check_token, token
from api_service.dashboard import formats
from api_service.dashboard.assets import asset_path
from api_service.handlers.bodies import BODY_BYTES, JSON_SECONDS, blocks
from api_service.wire.links import Links
from shared.errors import PayloadTooLarge, UnsupportedMediaType

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The pages have no script and no style of their own, so that no text of a user can become one."""
MOST_FIELDS = 20_000
"""Of a form; that of a new job with 400 aggregates and 400 types has some 7,000."""
_FORM = "application/x-www-form-urlencoded"


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= formats.FILTERS


def compile_templates() -> None:
    """Compile all templates, which takes some tenths of a second. Else the first page of each kind does."""
    for name in TEMPLATES.list_templates():
        TEMPLATES.get_template(name)


def page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """The answer of a template, a page or a part of one. A browser can open a part as a page, too."""
    return web.Response(
        text=_html(request, template, **values),
        status=status,
        content_type="text/html",
        headers={"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"},
    )


def _html(request: web.Request, template: str, **values: Any) -> str:
    """The HTML of a template.

    Beside *values* a template has these names. `link` makes URLs, and `asset` those of files. `may` are the
    scopes of the reader. `csrf` is the token of its forms. `here` is the path of the page.
    """
    caller, session, link = request.get(CALLER), request.get(SESSION), request.app[LINKS]
    return shared(
        template,
        link,
        asset=lambda name: link(asset_path(name)),
        may=covered(caller.scopes) if caller else frozenset(),
        only_job=caller.job if caller else None,
        tenant=caller.tenant if caller else None,
        signed_in=session is not None,
        csrf=token(session) if session else "",
        csrf_field=TOKEN_FIELD,
        here=request.path,
        request_id=request.get(REQUEST_ID, ""),
        **values,
    )


def shared(template: str, link: Links, **values: Any) -> Markup:
    """The HTML of a template that is the same for all readers."""
    html = TEMPLATES.get_template(template).render(link=link, **values)
    return Markup(html)  # noqa: S704  # the template has escaped each value


def asked(request: web.Request) -> MultiDict[str]:
    """The query without the fields of a form that were left empty."""
    return MultiDict((name, value) for name, value in request.query.items() if value)


async def form(request: web.Request, limit: int = BODY_BYTES) -> MultiDict[str]:
    """The fields of a form that one of the pages has sent; raises CrossSiteRequest without its token.

    Raises PayloadTooLarge beyond *limit* bytes, or MOST_FIELDS fields.
    """
    if request.content_type != _FORM:
        raise UnsupportedMediaType(f"Send the form as {_FORM}")
    body = b"".join([block async for block in blocks(request, limit, seconds=JSON_SECONDS)])
    if (number := body.count(b"&") + 1) > MOST_FIELDS:
        raise PayloadTooLarge(f"The form has {number:,} fields; at most {MOST_FIELDS:,} are accepted")
    fields = MultiDict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    if (session := request.get(SESSION)) is not None:
        check_token(session, fields.get(TOKEN_FIELD))
    return fields


def own_url(request: web.Request) -> str:
    """The URL of this gateway, as the reader's browser knows it."""
    return request.app[LINKS].base or f"{request[CLIENT].scheme}://{request.host}"


def see_other(request: web.Request, path: str) -> web.Response:
    """Go on at *path*, once a form is done."""
    return web.Response(status=303, headers={"Location": request.app[LINKS](path)})
