"""A plain page with the newest jobs and links, without a script."""

from html import escape

from aiohttp import web

from api_service.app_keys import JOBS, LINKS, TENANT
from api_service.services.jobs import JobView
from api_service.wire.links import Links
from shared.core.entities import Kept
from shared.core.job_filter import JobFilter

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Gristmill</title><meta name="viewport" content="width=device-width">
<style>
body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}}
:root{{color-scheme:light dark}}
table{{border-collapse:collapse;width:100%}}
th,td{{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884}}
</style></head>
<body><h1>Gristmill</h1>
<p><a href="{jobs}">Jobs</a> · <a href="{results}">Results</a> · <a href="{readiness}">Readiness</a></p>
<h2>The newest jobs</h2>
<table><thead><tr><th>Job</th><th>State</th><th>Result</th><th>Chunks</th><th>Created</th><th>Rows</th></tr></thead>
<tbody>
{rows}
</tbody></table></body></html>
"""
_EMPTY = '<tr><td colspan="6">No job was submitted yet.</td></tr>'


async def page(request: web.Request) -> web.Response:
    newest, _ = await request.app[JOBS].newest(request[TENANT], JobFilter(), after=None, limit=50)
    link = request.app[LINKS]
    text = _PAGE.format(
        jobs=escape(link("/v1/jobs")),
        results=escape(link("/v1/results")),
        readiness=escape(link("/readyz")),
        rows="\n".join(_row(view, link) for view in newest) or _EMPTY,
    )
    return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _POLICY})


def _row(view: JobView, link: Links) -> str:
    job, progress = view.job, view.progress
    url = escape(link(f"/v1/jobs/{job.id}"))
    cells = [
        f'<a href="{url}"><code>{escape(job.id)}</code></a>',
        escape(job.state if job.done else f"{job.state} ({job.phase})"),
        escape(job.result_name or ""),
        f"{progress.chunks_done} of {progress.chunks_total}",
        escape(job.created_at.isoformat(sep=" ", timespec="seconds")),
        _rows_cell(view.rows, url),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _rows_cell(rows: Kept | None, url: str) -> str:
    match rows:
        case None:
            return ""
        case Kept.DELETED:
            return "deleted"
        case _:
            return f'<a href="{url}/rows">rows</a>'
