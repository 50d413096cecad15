"""Gristmill for its users: the client, the command line and the launcher.

It speaks HTTP and starts processes, nothing else. Each name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gristmill.client.aio.client import AsyncClient as AsyncClient
    from gristmill.client.aio.job import AsyncJob as AsyncJob
    from gristmill.client.aio.job import AsyncPlan as AsyncPlan
    from gristmill.client.aio.result import AsyncResult as AsyncResult
    from gristmill.client.errors import (
        Busy as Busy,
    )
    from gristmill.client.errors import (
        Conflict as Conflict,
    )
    from gristmill.client.errors import (
        DigestMismatch as DigestMismatch,
    )
    from gristmill.client.errors import (
        Forbidden as Forbidden,
    )
    from gristmill.client.errors import (
        Gone as Gone,
    )
    from gristmill.client.errors import (
        GristmillError as GristmillError,
    )
    from gristmill.client.errors import (
        InvalidRequest as InvalidRequest,
    )
    from gristmill.client.errors import (
        JobCancelled as JobCancelled,
    )
    from gristmill.client.errors import (
        JobError as JobError,
    )
    from gristmill.client.errors import (
        JobFailed as JobFailed,
    )
    from gristmill.client.errors import (
        JobTimeout as JobTimeout,
    )
    from gristmill.client.errors import (
        MissingPackage as MissingPackage,
    )
    from gristmill.client.errors import (
        NotFound as NotFound,
    )
    from gristmill.client.errors import (
        ProblemError as ProblemError,
    )
    from gristmill.client.errors import (
        ServiceError as ServiceError,
    )
    from gristmill.client.errors import (
        SourceChanged as SourceChanged,
    )
    from gristmill.client.errors import (
        Unauthorized as Unauthorized,
    )
    from gristmill.client.errors import (
        Unreachable as Unreachable,
    )
    from gristmill.client.errors import (
        UploadInterrupted as UploadInterrupted,
    )
    from gristmill.client.moments import Moment as Moment
    from gristmill.client.spec import (
        JobSpec as JobSpec,
    )
    from gristmill.client.spec import (
        bucket as bucket,
    )
    from gristmill.client.spec import (
        day as day,
    )
    from gristmill.client.spec import (
        hour as hour,
    )
    from gristmill.client.spec import (
        month as month,
    )
    from gristmill.client.spec import (
        quarter as quarter,
    )
    from gristmill.client.spec import (
        week as week,
    )
    from gristmill.client.spec import (
        year as year,
    )
    from gristmill.client.sync.client import Client as Client
    from gristmill.client.sync.job import Job as Job
    from gristmill.client.sync.job import Plan as Plan
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
