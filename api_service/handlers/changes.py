"""Changing jobs that were submitted."""

from aiohttp import web

from api_service.app_keys import CHANGES, JOBS, LINKS, TENANT, actor_of
from api_service.handlers.bodies import BODY_BYTES, encoded_response, json_body
from api_service.handlers.sent import sent
from api_service.wire.headers import matched_revisions
from shared.spec.changes import parse_changes


async def change(request: web.Request) -> web.Response:
    revisions = matched_revisions(request.headers.getall("If-Match", []))
    changes = parse_changes(await json_body(request, BODY_BYTES, "application/merge-patch+json"))
    tenant, job_id = request[TENANT], request.match_info["id"]
    await request.app[CHANGES].change(tenant, job_id, changes, revisions, actor_of(request))
    found = sent(await request.app[JOBS].read(tenant, job_id), request.app[LINKS])
    return encoded_response(found.body, headers={"ETag": found.etag})
