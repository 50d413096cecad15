"""The events of a job, as a stream that a browser's EventSource reads."""

from aiohttp import web

from api_service.app_keys import JOBS, LINKS, TENANT
from api_service.handlers.following import follow
from api_service.handlers.sent import events


async def of_job(request: web.Request) -> web.StreamResponse:
    """End after `done`.

    A browser whose last event was `done` connects again if the page lets it: 204 tells it to stop.
    """
    view = await request.app[JOBS].read(request[TENANT], request.match_info["id"])
    if view.job.done and request.headers.get("Last-Event-ID") == str(view.job.revision):
        return web.Response(status=204)
    link = request.app[LINKS]
    return await follow(request, view, lambda now, seen: events(now, seen, link))
