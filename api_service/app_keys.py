"""Typed keys of the values that `app` puts into the application, and the middlewares into a request."""

from collections.abc import Mapping, Sequence

from aiohttp import web

from api_service.auth.authenticator import Authenticator
from api_service.auth.forwarded import Client
from api_service.auth.rights import Caller
from api_service.auth.sessions import Sessions
from api_service.openapi import Description
from api_service.operations import Handler, Operation
from api_service.services.bulk import BulkService
from api_service.services.changes import ChangeService
from api_service.services.deleting import DeletingService
from api_service.services.history import HistoryService
from api_service.services.job_pages import JobPages
from api_service.services.jobs import JobService
from api_service.services.keys import KeyService
from api_service.services.overview import OverviewService
from api_service.services.plans import PlanService
from api_service.services.quarantine import QuarantineService
from api_service.services.rates import Rates
from api_service.services.readiness import Readiness
from api_service.services.results import ResultService
from api_service.services.resumable import ResumableUploads
from api_service.services.spec_check import SpecChecker
from api_service.services.tenants import TenantService
from api_service.services.uploads import UploadService
from api_service.services.workers import WorkerService
from api_service.shares import Shares
from api_service.wire.links import Links
from shared.core.limits import Quota
from shared.settings import Settings

AUDITED = web.AppKey("audited", Mapping[Handler, str])
"""The handlers that change something, with the action that the log names."""
AUTHENTICATOR = web.AppKey("authenticator", Authenticator)
OPENAPI = web.AppKey("openapi", Description)
OPERATIONS = web.AppKey("operations", dict[Handler, Operation])
PAGE_HANDLERS = web.AppKey("page_handlers", frozenset[Handler])
"""The handlers of the dashboard: their errors are pages too."""
SESSIONS = web.AppKey("sessions", Sessions)
SETTINGS = web.AppKey("settings", Settings)
SHARES = web.AppKey("shares", Shares)
SPEC_CHECKER = web.AppKey("spec_checker", SpecChecker)
LINKS = web.AppKey("links", Links)
BULK = web.AppKey("bulk", BulkService)
CHANGES = web.AppKey("changes", ChangeService)
DELETING = web.AppKey("deleting", DeletingService)
HISTORY = web.AppKey("history", HistoryService)
JOBS = web.AppKey("jobs", JobService)
JOB_PAGES = web.AppKey("job_pages", JobPages)
KEYS = web.AppKey("keys", KeyService)
OVERVIEW = web.AppKey("overview", OverviewService)
PLANS = web.AppKey("plans", PlanService)
QUARANTINE = web.AppKey("quarantine", QuarantineService)
RATES = web.AppKey("rates", Rates)
RESULTS = web.AppKey("results", ResultService)
TENANTS = web.AppKey("tenants", TenantService)
UPLOADS = web.AppKey("uploads", UploadService)
RESUMABLE_UPLOADS = web.AppKey("resumable_uploads", ResumableUploads)
WORKERS = web.AppKey("workers", WorkerService)
READINESS = web.AppKey("readiness", Readiness)

REQUEST_ID = web.RequestKey("request_id", str)
JOB = web.RequestKey("job", str)
"""The id of the job that the request has made."""
CLIENT = web.RequestKey("client", Client)
CALLER = web.RequestKey("caller", Caller)
CHANGED = web.RequestKey("changed", Sequence[str])
"""The ids of the things that a request has changed, where its path and `Location` do not have them."""
QUOTA = web.RequestKey[Quota | None]("quota")
"""The rest of the requests that its tenant may make; None if it has no limit."""
SESSION = web.RequestKey("session", str)
"""The id in the cookie, of a request that was admitted by its session."""
TENANT = web.RequestKey("tenant", str)
"""The tenant of the request's API key: the request reads and changes only its data."""


def actor_of(request: web.Request) -> str:
    """The name of a change's author in the history of a job: the id of the key, or else the tenant."""
    return request[CALLER].key_id or request[TENANT]
