"""A new job: choose the data, look at it, ask, and submit."""

import hashlib
import json
import re
from typing import Any

from aiohttp import web

from api_service.app_keys import (
    CALLER,
    JOBS,
    LINKS,
    PLANS,
    SESSION,
    SETTINGS,
    SPEC_CHECKER,
    TENANT,
    UPLOADS,
    actor_of,
)
from api_service.auth.rights import covered
from api_service.auth.sessions import TOKEN_FIELD, check_token
from api_service.dashboard import equivalents, new_draft
from api_service.dashboard.advice import advice
from api_service.dashboard.new_draft import Draft
from api_service.dashboard.new_view import details_of, page_values, told
from api_service.dashboard.rendering import asked, form, own_url, page, see_other
from api_service.dashboard.short_spec import short
from api_service.handlers.uploads import file_sent
from api_service.services.plans import KEPT
from api_service.wire.headers import idempotency_key
from api_service.wire.plans import plan_document
from shared.core.entities import Upload
from shared.core.look import Look
from shared.db.plans import DryRun
from shared.errors import (
    BadRequest,
    GristmillError,
    InvalidSpec,
    NotFound,
    PayloadTooLarge,
    PlanExpired,
    Problem,
    UnsupportedMediaType,
)

WAIT_SECONDS = 20
"""How long a page waits for its dry run; then it shows that it waits, and loads itself again."""
UPLOADS_SHOWN = 50
FORM_BYTES = 4 * 1024**2
"""A form has a spec up to three times, with escapes."""
MOST_SPEC = 64 * 1024
"""A spec of more characters is shown without its Python."""
_ID = re.compile("[a-z0-9_]{1,64}")
_FIRST = {"group_by": [], "aggregates": [{"fn": "count"}]}
"""The first proposal for data without a spec."""


async def show(request: web.Request) -> web.Response:
    """Describe a new job."""
    query = asked(request)
    if "submit" not in covered(request[CALLER].scopes):
        return page(request, "new_refused.html")
    if plan := query.get("plan"):
        return await _planned(request, _id(plan))
    if job_id := query.get("from"):
        view = await request.app[JOBS].read(request[TENANT], _id(job_id))
        return await _page(request, new_draft.of_spec(short(dict(view.job.spec or {}))))
    return await _choose(request, chosen=query.getall("upload", []))


async def act(request: web.Request) -> web.Response:
    """Look at the data, submit the job, or change the form."""
    sent = await form(request, FORM_BYTES)
    uris = [*sent.getall("upload", []), *sent.get("/source/uris", "").splitlines()]
    sent["/source/uris"] = "\n".join(filter(None, map(str.strip, uris)))
    wish, _, of = sent.get("act", "").partition(":")
    draft = new_draft.of_fields(sent)
    if "json" not in sent and not sent["/source/uris"]:
        return await _choose(request, error="Choose a file, or name at least one URI.", status=422)
    try:
        if wish == "cure":
            wish, draft = "look", _cured(draft, await _seen(request, draft), of)
        if wish == "set":
            wish, (name, _, text) = "look", of.partition("=")
            draft = new_draft.with_field(draft, name, text)
        if wish in {"look", "submit"}:
            return await (_look if wish == "look" else _submit)(request, draft)
        draft = _changed(draft, wish, of or sent.get("new_type", ""))
    except GristmillError as error:
        return await _page(request, draft, await _seen(request, draft), error, status=422)
    return await _page(request, draft, await _seen(request, draft))


async def upload(request: web.Request) -> web.Response:
    """Store a file that a form has sent, without JavaScript."""
    if request.content_type != "multipart/form-data":
        await form(request)
        raise UnsupportedMediaType("Send the file as multipart/form-data")
    try:
        file = await file_sent(request)
    except BadRequest as error:
        return await _choose(request, error=error.detail, status=400)
    if (session := request.get(SESSION)) is not None:
        check_token(session, file.fields.get(TOKEN_FIELD))
    stored = await request.app[UPLOADS].put(
        request[TENANT], file.blocks, filename=file.filename, sha256=file.sha256
    )
    return see_other(request, f"/new?upload={stored.id}")


async def preview(request: web.Request) -> web.Response:
    """The JSON and the code of a form that is being filled in."""
    draft = new_draft.of_fields(await form(request, FORM_BYTES))
    if not draft.edited:
        draft = new_draft.from_form(draft)
    return page(request, "new_preview.html", draft=draft, **await _code(request, draft))


async def _code(request: web.Request, draft: Draft) -> dict[str, Any]:
    """The Python of a draft, None as long as it is no whole spec; and its first errors."""
    try:
        checked = await request.app[SPEC_CHECKER].check(request[TENANT], _body(request, draft), partial=True)
    except GristmillError as error:
        return {"python": None, "incomplete": [told(detail) for detail in details_of(error)]}
    if checked.kind == "look":
        return {"python": None, "incomplete": ["Choose at least one aggregate."]}
    if len(checked.canonical) > MOST_SPEC:
        return {"python": None, "incomplete": []}
    python = equivalents.python(json.loads(checked.canonical), own_url(request))
    return {"python": python, "incomplete": []}


def _cured(draft: Draft, look: Look | None, column: str) -> Draft:
    """With the type that the page has advised; a dry run that is no longer kept advises none."""
    found = advice(look) if look else []
    cure = next((each.cure for each in found if each.column == column), {})
    return new_draft.declared(draft, column, cure) if cure else draft


def _changed(draft: Draft, wish: str, of: str) -> Draft:
    match wish:
        case "add":
            return new_draft.with_row(draft, of)
        case "remove":
            return new_draft.without(draft, of)
        case "type" if of:
            return new_draft.with_type(draft, of)
        case "json":
            return new_draft.from_json(draft)
        case "form":
            return new_draft.from_form(draft)
        case _:
            return draft


async def _look(request: web.Request, draft: Draft) -> web.Response:
    _check_decided(draft)
    checked = await request.app[SPEC_CHECKER].check(request[TENANT], _body(request, draft), partial=True)
    plan, _ = await request.app[PLANS].submit(request[TENANT], checked, None, actor_of(request))
    return see_other(request, f"/new?plan={plan}")


async def _submit(request: web.Request, draft: Draft) -> web.Response:
    _check_decided(draft)
    body = _body(request, draft)
    checked = await request.app[SPEC_CHECKER].check(request[TENANT], body)
    key = idempotency_key(f"{draft.key[:64]}-{hashlib.sha256(body).hexdigest()[:32]}")
    job, _ = await request.app[JOBS].submit(request[TENANT], checked, key, actor_of(request))
    return see_other(request, f"/jobs/{job.id}")


def _body(request: web.Request, draft: Draft) -> bytes:
    """The spec as JSON; raises PayloadTooLarge beyond GRISTMILL_MAX_SPEC_BYTES, as the API does."""
    body, limit = draft.body.encode(), request.app[SETTINGS].max_spec_bytes
    if len(body) > limit:
        raise PayloadTooLarge(f"The spec has {len(body):,} bytes; at most {limit:,} are accepted here")
    return body


def _check_decided(draft: Draft) -> None:
    if draft.undecided:
        raise InvalidSpec(
            "The form and the JSON were both changed: take the JSON into the form, or drop its changes"
        )


async def _planned(request: web.Request, plan_id: str) -> web.Response:
    """The page of a dry run: its findings, and the form of its spec."""
    found = await request.app[PLANS].wait(
        request[TENANT], plan_id, WAIT_SECONDS, gone=lambda: request.transport is None
    )
    if not found.job.done:
        return page(request, "new_waiting.html", job=found.job)
    spec = _spec_of(request, found)
    draft = new_draft.of_spec(spec if "aggregates" in spec else _FIRST | spec, plan=plan_id)
    return await _page(request, draft, found.look, found.job.error)


def _spec_of(request: web.Request, found: DryRun) -> dict[str, object]:
    document = plan_document(
        found.job, found.look, request.app[LINKS], source_only=found.source_only, kept=KEPT
    )
    return short(dict(document.spec or {}))


async def _seen(request: web.Request, draft: Draft) -> Look | None:
    """The findings of the dry run that the form was made with, if they are still kept."""
    if draft.plan is None:
        return None
    try:
        return (await request.app[PLANS].get(request[TENANT], _id(draft.plan))).look
    except (NotFound, PlanExpired):
        return None


def _id(text: str) -> str:
    """Raises NotFound for a text that no id of a job or a dry run can be."""
    if not _ID.fullmatch(text):
        raise NotFound(f"There is no {text[:64]!r}")
    return text


async def _page(
    request: web.Request,
    draft: Draft,
    look: Look | None = None,
    problem: Problem | GristmillError | None = None,
    *,
    status: int = 200,
) -> web.Response:
    values = page_values(draft, look, problem) | await _code(request, draft)
    uris = draft.form.fields.get("/source/uris", "").splitlines()
    names = await request.app[UPLOADS].filenames(request[TENANT], uris)
    return page(request, "new_ask.html", status=status, names=names, **values)


async def _choose(
    request: web.Request, *, chosen: list[str] | None = None, error: str | None = None, status: int = 200
) -> web.Response:
    found, _ = await request.app[UPLOADS].newest(request[TENANT], after=None, limit=UPLOADS_SHOWN)
    return page(
        request,
        "new_choose.html",
        status=status,
        uploads=[upload for upload in found if isinstance(upload, Upload)],
        chosen=chosen or [],
        largest=request.app[SETTINGS].max_upload_bytes,
        error=error,
    )
