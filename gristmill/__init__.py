"""Gristmill for its users: the client, the command line and the launcher.

It speaks HTTP and starts processes, nothing else. Each name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # isort: off
    from gristmill.client.aio.client import AsyncClient as AsyncClient
    from gristmill.client.aio.job import AsyncJob as AsyncJob, AsyncPlan as AsyncPlan
    from gristmill.client.aio.result import AsyncResult as AsyncResult
    from gristmill.client.errors import (
        Busy as Busy,
        Conflict as Conflict,
        DigestMismatch as DigestMismatch,
        Forbidden as Forbidden,
        Gone as Gone,
        GristmillError as GristmillError,
        InvalidRequest as InvalidRequest,
        JobCancelled as JobCancelled,
        JobError as JobError,
        JobFailed as JobFailed,
        JobTimeout as JobTimeout,
        MissingPackage as MissingPackage,
        NotFound as NotFound,
        ProblemError as ProblemError,
        ServiceError as ServiceError,
        SourceChanged as SourceChanged,
        Unauthorized as Unauthorized,
        Unreachable as Unreachable,
        UploadInterrupted as UploadInterrupted,
    )
    from gristmill.client.moments import Moment as Moment
    from gristmill.client.spec import (
        JobSpec as JobSpec,
        bucket as bucket,
        day as day,
        hour as hour,
        month as month,
        quarter as quarter,
        week as week,
        year as year,
    )
    from gristmill.client.sync.client import Client as Client
    from gristmill.client.sync.job import Job as Job, Plan as Plan
    from gristmill.client.sync.result import Result as Result

_NAMES = {
    "sync.client": "Client",
    "sync.job": "Job Plan",
    "sync.result": "Result",
    "aio.client": "AsyncClient",
    "aio.job": "AsyncJob AsyncPlan",
    "aio.result": "AsyncResult",
    "moments": "Moment",
    "spec": "JobSpec bucket hour day week month quarter year",
    "errors": "GristmillError Unreachable ProblemError InvalidRequest Unauthorized Forbidden NotFound "
    "Conflict Gone Busy ServiceError JobError JobFailed JobCancelled JobTimeout UploadInterrupted "
    "SourceChanged DigestMismatch MissingPackage",
}
"""The public names of each module."""
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_MODULES)  # noqa: PLE0605  # a list, made of the table


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"gristmill.client.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
