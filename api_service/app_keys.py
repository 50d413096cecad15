"""Typed keys of the values that `app` puts into the application, and the middlewares into a request."""

from aiohttp import web

from api_service.auth.authenticator import Authenticator
from api_service.services.jobs import JobService
from api_service.services.quarantine import QuarantineService
from api_service.services.readiness import Readiness
from api_service.services.results import ResultService
from api_service.services.spec_check import SpecChecker
from api_service.services.uploads import UploadService
from shared.settings import Settings

AUTHENTICATOR = web.AppKey("authenticator", Authenticator)
SETTINGS = web.AppKey("settings", Settings)
SPEC_CHECKER = web.AppKey("spec_checker", SpecChecker)
JOBS = web.AppKey("jobs", JobService)
QUARANTINE = web.AppKey("quarantine", QuarantineService)
RESULTS = web.AppKey("results", ResultService)
UPLOADS = web.AppKey("uploads", UploadService)
READINESS = web.AppKey("readiness", Readiness)

REQUEST_ID = web.RequestKey("request_id", str)
TENANT = web.RequestKey("tenant", str)
"""The tenant of the request's API key: the request reads and changes only its data."""
