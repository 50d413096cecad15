"""What the composition root puts into the application, by typed key."""

from aiohttp import web

from api_service.services.access import Access
from api_service.services.jobs import JobService
from api_service.services.readiness import Readiness
from api_service.services.receipts import ReceiptService
from api_service.services.results import ResultService
from api_service.services.uploads import UploadService
from shared.settings import Settings

ACCESS = web.AppKey("access", Access)
SETTINGS = web.AppKey("settings", Settings)
JOBS = web.AppKey("jobs", JobService)
RESULTS = web.AppKey("results", ResultService)
RECEIPTS = web.AppKey("receipts", ReceiptService)
UPLOADS = web.AppKey("uploads", UploadService)
READINESS = web.AppKey("readiness", Readiness)

REQUEST_ID = web.RequestKey("request_id", str)
TENANT = web.RequestKey("tenant", str)
"""Whose data a request is about: the tenant of its API key."""
