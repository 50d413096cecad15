"""The problem (RFC 9457) of each error: the one table of statuses and titles."""

import msgspec
from aiohttp import web

from shared import errors
from shared.core.limits import Quota

STATUSES: dict[type[errors.GristmillError], tuple[int, str]] = {
    errors.MalformedJson: (400, "Malformed JSON"),
    errors.InvalidCursor: (400, "Invalid cursor"),
    errors.BadRequest: (400, "Bad request"),
    errors.DigestMismatch: (400, "Digest mismatch"),
    errors.Unauthorized: (401, "Unauthorized"),
    errors.Forbidden: (403, "Forbidden"),
    errors.CrossSiteRequest: (403, "Cross-site request"),
    errors.NotFound: (404, "Not found"),
    errors.MethodNotAllowed: (405, "Method not allowed"),
    errors.NotAcceptable: (406, "Not acceptable"),
    errors.NotReady: (409, "Not ready"),
    errors.NoResult: (409, "No result"),
    errors.AlreadyDone: (409, "Already done"),
    errors.InvalidState: (409, "Invalid state"),
    errors.UnexpectedCount: (409, "Unexpected count"),
    errors.InUse: (409, "In use"),
    errors.RetryExpired: (409, "Retry expired"),
    errors.ResultChanged: (409, "Result changed"),
    errors.WrongOffset: (409, "Wrong offset"),
    errors.CursorExpired: (410, "Cursor expired"),
    errors.PlanExpired: (410, "Plan expired"),
    errors.ResultExpired: (410, "Result expired"),
    errors.UploadExpired: (410, "Upload expired"),
    errors.TusVersion: (412, "Unsupported tus version"),
    errors.PreconditionFailed: (412, "Precondition failed"),
    errors.PayloadTooLarge: (413, "Payload too large"),
    errors.UnsupportedMediaType: (415, "Unsupported media type"),
    errors.RowTooLarge: (422, "Row too large"),
    errors.InvalidBody: (422, "Invalid body"),
    errors.CountTooSlow: (422, "Count too slow"),
    errors.InvalidParameter: (422, "Invalid parameter"),
    errors.InvalidSpec: (422, "Invalid spec"),
    errors.NotSupported: (422, "Not supported"),
    errors.TooManyColumns: (422, "Too many columns"),
    errors.SourceNotAllowed: (422, "Source not allowed"),
    errors.SourceNotFound: (422, "Source not found"),
    errors.IdempotencyKeyReused: (422, "Idempotency key reused"),
    errors.UnknownColumn: (422, "Unknown column"),
    errors.TypeMismatch: (422, "Type mismatch"),
    errors.UploadLocked: (423, "Upload locked"),
    errors.TooManyUploads: (429, "Too many uploads"),
    errors.TooManyExports: (429, "Too many exports"),
    errors.TooManyJobs: (429, "Too many jobs"),
    errors.TooManyRequests: (429, "Too many requests"),
    errors.UploadLimitExceeded: (429, "Upload limit exceeded"),
    errors.ScanLimitExceeded: (429, "Scan limit exceeded"),
    errors.StorageLimitExceeded: (429, "Storage limit exceeded"),
    errors.ChecksumMismatch: (460, "Checksum mismatch"),
    errors.TransientError: (503, "Service unavailable"),
    errors.GristmillError: (500, "Internal error"),
}
RETRY_SECONDS = 1


def status_and_title(error: errors.GristmillError) -> tuple[int, str]:
    """The row of the error's class, or of the nearest class above it."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def problem_response(
    error: errors.GristmillError, *, instance: str, request_id: str, headers: dict[str, str] | None = None
) -> web.Response:
    status, title = status_and_title(error)
    problem = error.problem()
    body = {
        "type": f"urn:gristmill:problem:{problem['code']}",
        "title": title,
        "status": status,
        "detail": problem["detail"],
        "instance": instance,
        "request_id": request_id,
        "code": problem["code"],
        "category": problem["category"],
        "retryable": problem["retryable"],
        "errors": problem["errors"],
    }
    response = web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )
    if error.quota is not None:
        response.headers.update(quota_headers(error.quota))
    if error.quota is not None and error.quota.reset is not None:
        response.headers["Retry-After"] = str(error.quota.reset)
    elif error.retryable or isinstance(error, errors.NotReady):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    if isinstance(error, errors.Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="gristmill"'
    return response


def quota_headers(quota: Quota) -> dict[str, str]:
    """The rest of a limit, as headers (draft-ietf-httpapi-ratelimit-headers-10).

    `q` is the limit, `w` the seconds that it is for, `r` the rest, and `t` the seconds until there is more.
    """
    window = f";w={quota.window}" if quota.window is not None else ""
    reset = f";t={quota.reset}" if quota.reset is not None else ""
    return {
        "RateLimit-Policy": f'"{quota.name}";q={quota.limit}{window}',
        "RateLimit": f'"{quota.name}";r={quota.left}{reset}',
    }


def from_http_exception(error: web.HTTPException, request: web.BaseRequest) -> errors.GristmillError:
    """The problem for an error of aiohttp itself."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return errors.MethodNotAllowed(
            f"{request.path} does not answer {request.method}; it answers {allowed}"
        )
    if isinstance(error, web.HTTPNotFound):
        cure = "; a path does not end with /" if request.path.endswith("/") else ""
        return errors.NotFound(f"There is nothing at {request.path}{cure}")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return errors.PayloadTooLarge("The body is too large")
    return errors.BadRequest(error.reason)
