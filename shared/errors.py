"""Every error that a user can meet: one class for each cause, one stable code for each class.

The four kinds say whose fault it is, and so decide the next step. A `UsageError` is never retried. A
`TransientError` is retried with backoff. A `FatalError` ends the unit and its job. An `Interruption` stops
the work quietly, because another worker owns it now or because it begins anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NotRequired, TypedDict

from shared.core.limits import Quota

Category = Literal["user", "quota", "source", "system"]


class Detail(TypedDict):
    """One fault: in a request with a JSON Pointer into the body or the name of a query parameter.

    In a file with the place of the bad row: `byte` and `line`, or the number of the `row`.
    """

    detail: str
    pointer: NotRequired[str]
    parameter: NotRequired[str]
    uri: NotRequired[str]
    byte: NotRequired[int]
    line: NotRequired[int]
    row: NotRequired[int]
    column: NotRequired[str]
    value: NotRequired[str]


class Problem(TypedDict):
    """An RFC 9457 problem without its HTTP fields; stored as `jobs.error` and `units.error`."""

    code: str
    category: Category
    retryable: bool
    detail: str
    errors: list[Detail]


class GristmillError(Exception):
    """Carries a text for a person (finding, place, remedy) and the exact places for a program.

    *quota* is the limit of a tenant that was met.
    """

    code: ClassVar[str] = "internal_error"
    category: ClassVar[Category] = "system"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        pointer: str | None = None,
        errors: Sequence[Detail] = (),
        quota: Quota | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.quota = quota
        self.errors: list[Detail] = list(errors)
        if pointer is not None:
            self.errors.append({"pointer": pointer, "detail": detail})

    def problem(self) -> Problem:
        return {
            "code": self.code,
            "category": self.category,
            "retryable": self.retryable,
            "detail": self.detail,
            "errors": self.errors,
        }


class UsageError(GristmillError):
    """The caller's fault: 4xx, never retried."""

    category: ClassVar[Category] = "user"


class TransientError(GristmillError):
    """A cause that may pass: retried with backoff; 503 at the gateway."""

    retryable = True


class FatalError(GristmillError):
    """Trying again cannot help: the unit and the job fail with this cause."""

    category: ClassVar[Category] = "source"


class Interruption(GristmillError):
    """Stop quietly: the work goes on elsewhere or begins anew."""


# --- usage: the request -------------------------------------------------------------------------------------


class MalformedJson(UsageError):
    code = "malformed_json"


class InvalidBody(UsageError):
    """A JSON body, other than a spec, that does not have the fields it should."""

    code = "invalid_body"


class InvalidParameter(UsageError):
    """A query parameter or header that is unknown or whose value cannot be read."""

    code = "invalid_parameter"


class InvalidCursor(UsageError):
    code = "invalid_cursor"


class InvalidSpec(UsageError):
    code = "invalid_spec"


class TooManyColumns(UsageError):
    """A result of more columns, or of wider rows, than a Postgres table holds."""

    code = "too_many_columns"


class NotSupported(UsageError):
    """A valid part of the spec that this version does not support yet, or content that no format reads."""

    code = "not_supported"


class SourceNotAllowed(UsageError):
    """A URI outside GRISTMILL_SOURCES."""

    code = "source_not_allowed"


class IdempotencyKeyReused(UsageError):
    code = "idempotency_key_reused"


class Unauthorized(UsageError):
    """No API key, or one that is unknown, was revoked or has expired."""

    code = "unauthorized"


class Forbidden(UsageError):
    """An API key without the scope that the request needs, or that opens another job only."""

    code = "forbidden"


class CrossSiteRequest(UsageError):
    """A request that a web page of another site could have sent to a gateway without keys."""

    code = "cross_site_request"


class NotFound(UsageError):
    code = "not_found"


class MethodNotAllowed(UsageError):
    code = "method_not_allowed"


class NotAcceptable(UsageError):
    code = "not_acceptable"


class UnsupportedMediaType(UsageError):
    code = "unsupported_media_type"


class PayloadTooLarge(UsageError):
    category: ClassVar[Category] = "quota"
    code = "payload_too_large"


class TooManyExports(UsageError):
    """Trying again helps as soon as one of them has been read."""

    category: ClassVar[Category] = "quota"
    retryable = True
    code = "too_many_exports"


class BadRequest(UsageError):
    """A request that HTTP itself refuses: a bad header, a body that ends early."""

    code = "bad_request"


class DigestMismatch(UsageError):
    """The uploaded bytes do not match Content-Digest."""

    code = "digest_mismatch"


class ChecksumMismatch(UsageError):
    """The bytes of a request do not match Upload-Checksum; none of them were kept."""

    code = "checksum_mismatch"


class TusVersion(UsageError):
    """A request of another version of the tus protocol, or of none."""

    code = "tus_version"


class WrongOffset(UsageError):
    """The bytes that were sent do not begin where the stored ones end."""

    code = "wrong_offset"


class UploadLocked(UsageError):
    """Another request writes to the upload; trying again helps as soon as that one has ended."""

    retryable = True
    code = "upload_locked"


class UploadExpired(UsageError):
    """An unfinished upload that got no bytes for its time."""

    code = "upload_expired"


class TooManyUploads(UsageError):
    """The tenant has its maximum of uploads, or of unfinished ones."""

    category: ClassVar[Category] = "quota"
    code = "too_many_uploads"


class UploadLimitExceeded(UsageError):
    """The uploads of the tenant would have more bytes than they may."""

    category: ClassVar[Category] = "quota"
    code = "upload_limit_exceeded"


class TooManyJobs(UsageError):
    """The tenant has its maximum of queued jobs; trying again helps once some have begun."""

    category: ClassVar[Category] = "quota"
    retryable = True
    code = "too_many_jobs"


class TooManyRequests(UsageError):
    """The tenant makes more requests a second than it may."""

    category: ClassVar[Category] = "quota"
    retryable = True
    code = "too_many_requests"


class NotReady(UsageError):
    """The job has no rows yet."""

    code = "not_ready"


class NoResult(UsageError):
    """The job ended without rows."""

    code = "no_result"


class AlreadyDone(UsageError):
    code = "already_done"


class InvalidState(UsageError):
    """The request does not fit the job's present state."""

    code = "invalid_state"


class InUse(UsageError):
    """Something that stays needs the thing that a request would delete."""

    code = "in_use"


class UnexpectedCount(UsageError):
    """A change of many jobs fits another number of jobs than the caller expects."""

    code = "unexpected_count"


class PreconditionFailed(UsageError):
    """The job is not the one that `If-Match` names."""

    code = "precondition_failed"


class RetryExpired(UsageError):
    """The finished chunks of the job are pruned, or their source has changed."""

    code = "retry_expired"


class CursorExpired(UsageError):
    """The version that the cursor walks is gone."""

    code = "cursor_expired"


class PlanExpired(UsageError):
    """A dry run that was deleted, or that no job can begin with any more."""

    code = "plan_expired"


class ResultExpired(UsageError):
    code = "result_expired"


class ResultChanged(UsageError):
    """The table of a result was altered by other means: a column or the table itself."""

    code = "result_changed"


class RowTooLarge(UsageError):
    """A row that fits in no JSON page, or in no stream."""

    category: ClassVar[Category] = "quota"
    code = "row_too_large"


class CountTooSlow(UsageError):
    """An exact count that takes too long; an estimate takes no time."""

    category: ClassVar[Category] = "quota"
    code = "count_too_slow"


# --- usage: found only when the data is seen ----------------------------------------------------------------


class UnknownColumn(UsageError):
    code = "unknown_column"


class TypeMismatch(UsageError):
    """An aggregate or option that does not accept its column's type."""

    code = "type_mismatch"


# --- transient ----------------------------------------------------------------------------------------------


class DatabaseUnavailable(TransientError):
    code = "database_unavailable"


class EncodingFailed(TransientError):
    """The process that encodes rows ended before its time."""

    code = "encoding_failed"


class TooManyConnections(TransientError):
    """The gateway, or the client's address, has its maximum of connections."""

    category: ClassVar[Category] = "quota"
    code = "too_many_connections"


class StorageUnavailable(TransientError):
    code = "storage_unavailable"


class SpecCheckBusy(TransientError):
    """A large spec that was not checked in time: others are being checked, or this one takes too long."""

    code = "spec_check_busy"


class ResultLocked(TransientError):
    """Another session holds a lock on a result's view or table; publishing waits for its end."""

    code = "result_locked"


class NotMigrated(TransientError):
    """The database's schema is not the one this version needs."""

    code = "not_migrated"


# --- fatal --------------------------------------------------------------------------------------------------


class SourceNotFound(FatalError):
    code = "source_not_found"


class SourceUnreadable(FatalError):
    """A file that is not a regular, readable file beneath an allowed folder."""

    code = "source_unreadable"


class SourceChanged(FatalError):
    """A file that is not the one that was planned."""

    code = "source_changed"


class SourceEmpty(FatalError):
    """A file with no header to take columns from, where one is looked for."""

    code = "source_empty"


class InvalidEncoding(FatalError):
    code = "invalid_encoding"


class CorruptFile(FatalError):
    """A container that cannot be read: truncated or damaged data, broken zip, invalid Parquet."""

    code = "corrupt_file"


class SchemaConflict(FatalError):
    """Files of one dataset that do not have the same columns."""

    code = "schema_conflict"


class AmbiguousDelimiter(FatalError):
    """A CSV file that several delimiters fit, where the spec leaves it open."""

    category: ClassVar[Category] = "user"
    code = "ambiguous_delimiter"


class BadRow(FatalError):
    """A row that does not fit the schema.

    The detail names file, byte offset, line, column, reason and text.
    """

    code = "bad_row"


class TooManyBadRows(FatalError):
    """More bad rows than `options.max_bad_rows` allows; `errors` has some of them."""

    code = "too_many_bad_rows"


class GroupLimitExceeded(FatalError):
    category: ClassVar[Category] = "quota"
    code = "group_limit_exceeded"


class LimitExceeded(FatalError):
    """`limits.max_bytes`, `max_chunks` or the like."""

    category: ClassVar[Category] = "quota"
    code = "limit_exceeded"


class ScanLimitExceeded(FatalError):
    """The tenant would scan more bytes in a day than it may; trying again helps tomorrow."""

    category: ClassVar[Category] = "quota"
    retryable = True
    code = "scan_limit_exceeded"


class StorageLimitExceeded(FatalError):
    """The states and results of the tenant take more bytes than they may."""

    category: ClassVar[Category] = "quota"
    code = "storage_limit_exceeded"


class StateTooLarge(FatalError):
    category: ClassVar[Category] = "quota"
    code = "state_too_large"


class GroupKeyTooLong(FatalError):
    code = "group_key_too_long"


class ValueOutOfRange(FatalError):
    """A result that its column type cannot hold."""

    code = "value_out_of_range"


class ComputeFailed(FatalError):
    """An expression of `compute` or `having` has an error in a group, such as an integer above 64 bits."""

    category: ClassVar[Category] = "user"
    code = "compute_failed"


class OutOfMemory(FatalError):
    category: ClassVar[Category] = "quota"
    code = "out_of_memory"


class ChildCrashed(FatalError):
    """A unit that always kills its child process."""

    category: ClassVar[Category] = "system"
    code = "child_crashed"


class ReaderCrashed(ChildCrashed):
    """A child that crashed while it read files of a binary format; the detail names the files."""


class WorkerLost(FatalError):
    """A unit whose workers die again and again."""

    category: ClassVar[Category] = "system"
    code = "worker_lost"


class DeadlineExceeded(FatalError):
    category: ClassVar[Category] = "quota"
    code = "deadline_exceeded"


class RetriesExhausted(FatalError):
    """A transient error that did not pass."""

    category: ClassVar[Category] = "system"
    code = "retries_exhausted"


class OutputNameTaken(FatalError):
    """A relation that Gristmill did not make has the result's name."""

    category: ClassVar[Category] = "user"
    code = "output_name_taken"


class OutputSchemaChanged(FatalError):
    """The named result has other columns and `output.on_schema_change` is `fail`."""

    category: ClassVar[Category] = "user"
    code = "output_schema_changed"


class OutputNotPermitted(FatalError):
    """The service's role may not make the schema or the view of a named result."""

    category: ClassVar[Category] = "system"
    code = "output_not_permitted"


class ReceiptMismatch(FatalError):
    """The rows read and the rows in the result do not add up; the detail names the causes."""

    category: ClassVar[Category] = "system"
    code = "receipt_mismatch"


class InternalError(FatalError):
    """A bug in Gristmill; the log has the stack trace."""

    category: ClassVar[Category] = "system"
    code = "internal_error"


# --- interruptions ------------------------------------------------------------------------------------------


class LeaseLost(Interruption):
    code = "lease_lost"


class Preempted(Interruption):
    """The unit makes room for a tenant that waits without any lease."""

    code = "preempted"


class CutsRefuted(Interruption):
    """No record begins at a cut that the plan guessed.

    Not an error: the job is planned again, with proven cuts.
    """

    code = "cuts_refuted"


class SchemaWidened(Interruption):
    """A value of an undeclared column does not fit: `widen` names column -> needed type.

    Not an error: the job's epoch rises.
    """

    code = "schema_widened"

    def __init__(self, detail: str, widen: dict[str, str]) -> None:
        super().__init__(detail)
        self.widen = widen


def subclasses(cls: type[GristmillError] = GristmillError) -> list[type[GristmillError]]:
    return [cls] + [found for child in cls.__subclasses__() for found in subclasses(child)]


def from_problem(problem: Mapping[str, Any]) -> GristmillError:
    """Rebuild an error that crossed a process border; an unknown code becomes `InternalError`."""
    by_code = {
        cls.code: cls
        for cls in subclasses()
        if "code" in vars(cls) and cls not in {GristmillError, SchemaWidened}
    }
    return by_code.get(problem["code"], InternalError)(problem["detail"], errors=problem["errors"])
