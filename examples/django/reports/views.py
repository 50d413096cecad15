"""The page uploads to Gristmill itself; these views write the spec, lend the keys, and show the rows."""

from typing import Any

import httpx2
from django.conf import settings
from django.db import ProgrammingError
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from gristmill import Client
from reports.models import OrdersByCountry


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "reports/page.html")


@require_POST
def uploads(_: HttpRequest) -> JsonResponse:
    """A key for the page, which can upload for 15 minutes and nothing else."""
    status, made = post("/v1/keys", {"scopes": ["upload"], "expires": "15m"})
    lent = {"gateway": settings.GRISTMILL_URL, "key": made.get("key")}
    return JsonResponse(lent if status == 201 else made, status=status)


@require_POST
def reports(request: HttpRequest) -> JsonResponse:
    """Submit the job of an upload, and make a key that reads this job only."""
    status, job = post("/v1/jobs", spec(request.GET["upload"]))
    if status != 202:
        return JsonResponse(job, status=status)
    status, made = post("/v1/keys", {"scopes": ["read"], "job": job["id"], "expires": "1h"})
    return JsonResponse({"job": job["id"], "key": made["key"]} if status == 201 else made, status=status)


@require_GET
def orders(request: HttpRequest) -> HttpResponse:
    """The newest version of the result, as a table with bars."""
    try:
        rows = list(OrdersByCountry.objects.order_by("-revenue"))
    except ProgrammingError:  # no job has published it yet
        return redirect("page")
    most = max((row.revenue for row in rows if row.revenue), default=1)
    return render(request, "reports/orders.html", {"rows": rows, "most": most})


@require_GET
def orders_csv(_: HttpRequest) -> StreamingHttpResponse:
    """The newest version of the result as a file, whose bytes are handed on as they come."""
    client = Client(settings.GRISTMILL_URL, settings.GRISTMILL_API_KEY)
    result = client.result("orders_by_country")
    headers = {"Content-Disposition": 'attachment; filename="orders.csv"'}
    rows = result.stream("csv", order_by="-revenue")
    return StreamingHttpResponse(rows, content_type="text/csv", headers=headers)


def spec(upload: str) -> dict[str, Any]:
    return {
        "source": {"uris": [upload], "format": "csv", "types": {"price": "decimal(18,2)"}},
        "group_by": ["country"],
        "aggregates": [{"fn": "count", "as": "orders"}, {"fn": "sum", "column": "price", "as": "revenue"}],
        "output": {"name": "orders_by_country"},
    }


def post(where: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The status and the body of Gristmill's answer."""
    headers = {"Authorization": f"Bearer {settings.GRISTMILL_API_KEY}"}
    answer = httpx2.post(settings.GRISTMILL_URL + where, json=body, headers=headers, timeout=30)
    return answer.status_code, answer.json()
