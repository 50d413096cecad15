"""The whole URL table."""

from aiohttp import web

from api_service.handlers import health, index, jobs, quarantine, results, uploads
from api_service.handlers.bodies import defer_continue
from shared.spec.values import RESULT_NAME

ID = "{id:[a-z0-9_]{1,64}}"
NAME = f"{{name:{RESULT_NAME.pattern}}}"

ROUTES = [
    web.get("/", index.page),
    web.get("/livez", health.livez),
    web.get("/readyz", health.readyz),
    web.post("/v1/uploads", uploads.create, expect_handler=defer_continue),
    web.get(f"/v1/uploads/{ID}", uploads.read),
    web.delete(f"/v1/uploads/{ID}", uploads.delete),
    web.post("/v1/jobs", jobs.submit, expect_handler=defer_continue),
    web.get("/v1/jobs", jobs.search),
    web.get(f"/v1/jobs/{ID}", jobs.read),
    web.post(f"/v1/jobs/{ID}/cancel", jobs.cancel, expect_handler=defer_continue),
    web.post(f"/v1/jobs/{ID}/pause", jobs.pause, expect_handler=defer_continue),
    web.post(f"/v1/jobs/{ID}/resume", jobs.resume, expect_handler=defer_continue),
    web.post(f"/v1/jobs/{ID}/retry", jobs.retry, expect_handler=defer_continue),
    web.get(f"/v1/jobs/{ID}/quarantine", quarantine.of_job),
    web.get(f"/v1/jobs/{ID}/receipt", results.receipt_of_job),
    web.get(f"/v1/jobs/{ID}/rows", results.rows_of_job),
    web.get("/v1/results", results.search),
    web.get(f"/v1/results/{NAME}", results.read),
    web.get(f"/v1/results/{NAME}/rows", results.rows_of_result),
]
