"""The versions of a result, and deleting one or all of them."""

from aiohttp import web

from api_service.app_keys import CHANGED, DELETING, LINKS, RESULTS, TENANT
from api_service.dashboard.rendering import asked, form, page, see_other
from api_service.wire import parameters
from api_service.wire.documents import result_document
from api_service.wire.row_queries import version_number

LIMIT = 50


async def show(request: web.Request) -> web.Response:
    """The versions of a result, newest first."""
    name, query = request.match_info["name"], asked(request)
    found, further = await request.app[DELETING].versions(
        request[TENANT], name, after=parameters.after_version(query), limit=LIMIT
    )
    return page(
        request,
        "versions.html",
        name=name,
        versions=[result_document(each, request.app[LINKS]) for each in found],
        following=f"/results/{name}/versions?after={found[-1].version}" if further else None,
        first="after" not in query,
    )


async def ask(request: web.Request) -> web.Response:
    """Ask before one version of a result is deleted, or all."""
    name, number = request.match_info["name"], version_number(request.query)
    version = await request.app[RESULTS].of_name(request[TENANT], name, number, None)
    return page(
        request,
        "delete_result.html",
        name=name,
        number=number,
        result=result_document(version, request.app[LINKS]),
    )


async def delete(request: web.Request) -> web.Response:
    """Delete the version, or the result, of which the page has asked."""
    name, number = request.match_info["name"], version_number(await form(request))
    deleting, tenant = request.app[DELETING], request[TENANT]
    if number is None:
        await deleting.result(tenant, name)
        return see_other(request, "/results")
    request[CHANGED] = [f"{name}/{number}"]
    await deleting.version(tenant, name, number)
    return see_other(request, f"/results/{name}/versions")
