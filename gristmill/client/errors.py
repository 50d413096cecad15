"""The exceptions of the client. Each message has the place, the value and the next step."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from gristmill.client.documents import JobDocument, Problem


class GristmillError(Exception):
    """The base of every exception of the client. All can be pickled, as pools of processes need."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[GristmillError], args: tuple[Any, ...], state: dict[str, Any]) -> GristmillError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class Unreachable(GristmillError):
    """No answer came from `url`, for this `reason`: nothing listens, or the connection broke each time."""

    def __init__(self, method: str, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(
            f"{method} {url}: {reason}. Is the service there? `gristmill standalone` starts one; "
            "GRISTMILL_URL, or Client(url), names another"
        )


class ProblemError(GristmillError):
    """The service refused a request.

    `status`, `code`, `detail`, `errors`, `retryable` and `request_id` are those of the answer.
    `pointers` are the wrong places of the body, such as `#/aggregates/0/column`.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.category = str(problem.get("category", ""))
        self.retryable = bool(problem.get("retryable", False))
        self.request_id = problem.get("request_id")
        self.errors: list[dict[str, Any]] = list(problem.get("errors") or ())
        self.retry_after = retry_after
        super().__init__(self._message())

    @property
    def pointers(self) -> list[str]:
        return [str(error["pointer"]) for error in self.errors if "pointer" in error]

    @property
    def summary(self) -> str:
        """The status, the code and the detail."""
        head = " ".join(filter(None, [str(self.status), self.code or self.title]))
        return f"{head}: {self.detail}"

    def _message(self) -> str:
        lines = [self.summary, *_places(self.errors, self.detail)]
        return "\n".join(lines) + (f"\n(request {self.request_id})" if self.request_id else "")

    @classmethod
    def of(cls, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> "ProblemError":
        """The exception of an answer, of the class that its status has."""
        return _CLASSES.get(status, ProblemError if status < 500 else ServiceError)(
            status, problem, retry_after
        )


class InvalidRequest(ProblemError):
    """The spec, a parameter or the body is wrong (400, 413, 415, 422); `errors` names every place."""


class Unauthorized(ProblemError):
    """The service wants an API key, or does not take this one (401)."""


class Forbidden(ProblemError):
    """The API key lacks a scope (403); the detail names the one that is needed."""


class NotFound(ProblemError):
    """No such job, result or upload of this tenant (404)."""


class Conflict(ProblemError):
    """The request does not fit the present state (409, 412, 423)."""


class Gone(ProblemError):
    """The rows, the cursor, the plan or the upload have expired (410)."""


class Busy(ProblemError):
    """Too much at once (429); `retry_after` has the seconds to wait."""


class ServiceError(ProblemError):
    """The service or a proxy before it cannot answer now (5xx)."""


_CLASSES: dict[int, type[ProblemError]] = {
    **dict.fromkeys((400, 413, 415, 422), InvalidRequest),
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    **dict.fromkeys((409, 412, 423), Conflict),
    410: Gone,
    429: Busy,
}


def _places(errors: Iterable[Mapping[str, Any]], said: str) -> list[str]:
    """A line for each wrong place that was not said."""
    places = [(error.get("pointer") or error.get("parameter"), error.get("detail")) for error in errors]
    lines = [": ".join(str(part) for part in place if part) for place in places]
    return [f"  {line}" for line in lines if line not in said]


class JobError(GristmillError):
    """The base of the exceptions about a job, whose id is `job_id`."""

    def __init__(self, job_id: str, message: str) -> None:
        self.job_id = job_id
        super().__init__(message)


class JobFailed(JobError):
    """A job, or a dry run, failed.

    `cause` is the code (docs/errors.md), `detail` the finding with its cure. `places` are its exact places.
    `value` is the text of the first bad value, None if there is none.
    """

    def __init__(self, job_id: str, problem: Problem) -> None:
        self.problem = problem
        self.cause = self.code = problem["code"]
        self.detail = problem["detail"]
        self.category = problem["category"]
        self.retryable = problem["retryable"]
        self.places: list[dict[str, Any]] = list(problem.get("errors") or ())
        head = f"{job_id} failed: {self.code}: {self.detail}"
        super().__init__(job_id, "\n".join([head, *_places(self.places, self.detail), self.cure]))

    @property
    def place(self) -> dict[str, Any]:
        """The first place: a `pointer` into the spec, or `uri`, `byte`, `line` and `column`; else empty."""
        return self.places[0] if self.places else {}

    @property
    def value(self) -> str | None:
        return next((str(place["value"]) for place in self.places if place.get("value") is not None), None)

    @property
    def cure(self) -> str:
        """The next step."""
        return _CURES.get(self.category, _CURES["system"])


_CURES = {
    "user": "Change the spec and submit it again.",
    "source": "Correct the data, or tell the spec how to read it, and submit it again.",
    "quota": "Raise the limit that the detail names, or ask for less.",
    "system": "Call job.retry(); the finished chunks stay finished. The logs of the service have more.",
}


class JobCancelled(JobError):
    """A job was cancelled, here or elsewhere."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id, f"{job_id} was cancelled; job.retry() brings it back within 24 hours")


class JobTimeout(JobError, TimeoutError):
    """The time to wait is over, and the job goes on."""

    def __init__(self, job_id: str, seconds: float, document: JobDocument) -> None:
        self.document = document
        fraction = document["progress"]["fraction"]
        super().__init__(
            job_id,
            f"{job_id} is {document['state']} ({fraction:.0%}) after {seconds:g} s and goes on. "
            f"Wait on with client.job({job_id!r}).wait(), or end it with client.job({job_id!r}).cancel()",
        )


class UploadInterrupted(GristmillError):
    """An upload broke off, for its `reason`.

    Its stored bytes are kept for a day: `client.upload(path, resume=upload_id)`.
    """

    def __init__(self, upload_id: str, name: str, stored: int, size: int, reason: str = "") -> None:
        self.upload_id, self.stored, self.size, self.reason = upload_id, stored, size, reason
        because = f" ({reason})" if reason else ""
        super().__init__(
            f"the upload of {name} broke off{because}: {stored:,} of {size:,} bytes are stored. "
            f"Go on within a day with client.upload({name!r}, resume={upload_id!r})"
        )


class SourceChanged(GristmillError):
    """The service stored other bytes than were sent: the file changed, or was damaged on its way."""


class DigestMismatch(GristmillError):
    """The rows that the service sends are not those of the result's digest."""

    def __init__(self, relation: str, stated: str, computed: str) -> None:
        self.stated, self.computed = stated, computed
        super().__init__(
            f"the rows of {relation} have the digest {computed}, but the result says {stated}: "
            "the table was changed since it was published. Submit the job again"
        )


class MissingPackage(GristmillError, ImportError):
    """A method needs a package that is not installed."""

    @classmethod
    def of(cls, package: str, method: str) -> Self:
        return cls(f"{method} needs {package}: pip install {package}")
