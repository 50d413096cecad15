"""Results: the version that a URL means, its rows, and the receipt of its job."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal

from api_service.services.encoder import Encoder, Encoding
from api_service.services.limiter import ConcurrencyLimiter
from shared.core.entities import Version
from shared.core.lifecycle import JobState
from shared.core.row_query import Accuracy, RowQuery, Rows
from shared.db.jobs import JobStore
from shared.db.receipts import ReceiptStore
from shared.db.rows import RowStore
from shared.db.versions import VersionStore
from shared.errors import CursorExpired, InvalidCursor, NoResult, NotFound, NotReady, ResultExpired

Export = Literal["csv", "ndjson", "parquet", "arrow"]
_PRUNED = "The version that this cursor walks is kept no longer; begin again without `after`"


class ResultService:
    """*pages* and *exports* limit how many answers with rows are made and sent at once, and so their memory.

    `walked` is the job whose version a cursor walks; None without a cursor.
    """

    def __init__(
        self,
        jobs: JobStore,
        versions: VersionStore,
        rows: RowStore,
        receipts: ReceiptStore,
        encoder: Encoder,
        *,
        pages: ConcurrencyLimiter,
        exports: ConcurrencyLimiter,
    ) -> None:
        self._jobs = jobs
        self._versions = versions
        self._rows = rows
        self._receipts = receipts
        self._encoder = encoder
        self._pages = pages
        self._exports = exports

    async def all(
        self, tenant: str, *, after: str | None, limit: int, part: str | None = None
    ) -> tuple[list[Version], bool]:
        """The current versions by name, of names with *part*; the flag says whether others follow."""
        return await self._versions.published(tenant, after=after, limit=limit, part=part)

    async def current(self, tenant: str, name: str) -> Version:
        version = await self._versions.current(tenant, name)
        if version is None:
            raise NotFound(f"There is no result {name}")
        return version

    async def receipt(self, tenant: str, job_id: str) -> Mapping[str, Any]:
        """The receipt of a succeeded job, as it was stored; raises NotFound, NotReady or NoResult."""
        found = await self._receipts.get(tenant, job_id)
        if found is None:
            raise NotFound(f"There is no job {job_id}")
        state, receipt = found
        if receipt is not None:
            return receipt
        if state in {JobState.FAILED, JobState.CANCELLED}:
            raise NoResult(f"{_ended(job_id, state)}, so it has no receipt")
        if state == JobState.SUCCEEDED:
            raise NoResult(f"Job {job_id} was published by a version of Gristmill that wrote no receipts")
        raise NotReady(f"Job {job_id} is {state}; its receipt is written when it succeeds")

    async def of_job(self, tenant: str, job_id: str, walked: str | None) -> Version:
        """The version that a job made; raises NotReady, NoResult or ResultExpired by the job's state."""
        job = await self._jobs.get(tenant, job_id)
        if job is None and walked == job_id:
            raise CursorExpired(_PRUNED)
        if job is None:
            raise NotFound(f"There is no job {job_id}")
        if walked not in {None, job_id}:
            raise InvalidCursor("This cursor belongs to another job")
        version = await self._versions.get(tenant, job_id) if job.state == JobState.SUCCEEDED else None
        if version is not None:
            return version
        if not job.done:
            raise NotReady(f"Job {job_id} is {job.state}; its rows can be read once it has succeeded")
        if job.state != JobState.SUCCEEDED:
            raise NoResult(f"{_ended(job_id, job.state)}, so it has no rows")
        shown = await self._versions.current(tenant, job.result_name) if job.result_name else None
        newer = f", or read version {shown.version} at /v1/results/{shown.name}/rows" if shown else ""
        raise ResultExpired(
            f"The rows of job {job_id} were deleted, or their time is over: submit its spec again{newer}"
        )

    async def of_name(self, tenant: str, name: str, number: int | None, walked: str | None) -> Version:
        """The version that the cursor walks, or the one of that number, or else the current one."""
        if walked is None and number is not None:
            numbered = await self._versions.by_number(tenant, name, number)
            if numbered is None:
                raise NotFound(f"Result {name} has no version {number}")
            return numbered
        if walked is None:
            return await self.current(tenant, name)
        version = await self._versions.get(tenant, walked)
        if version is None:
            raise CursorExpired(_PRUNED)
        if version.name != name or number not in {None, version.version}:
            raise InvalidCursor("This cursor belongs to another result or version")
        return version

    @asynccontextmanager
    async def page(self, version: Version, query: RowQuery) -> AsyncIterator[Rows]:
        """Lend a page; its permit ends with the block, in which it is sent."""
        async with self._pages.permit(version.tenant):
            try:
                rows = await self._rows.page(version, query)
            except ResultExpired as error:
                if query.after is not None:
                    raise CursorExpired(_PRUNED) from error
                raise
            yield rows

    async def total(self, version: Version, query: RowQuery, wanted: Accuracy) -> tuple[int, Accuracy]:
        """How many rows match the query's filters, and how exact that is. Without filters it is known.

        An exact count takes the place of an export while it is made. Raises CountTooSlow.
        """
        if not query.filters:
            return version.rows, "exact"
        if wanted == "estimate":
            return await self._rows.estimate(version, query), "estimate"
        async with self._exports.permit(version.tenant):
            return await self._rows.count(version, query), "exact"

    async def export(
        self, version: Version, query: RowQuery, wanted: Export, *, formula_guard: bool
    ) -> AsyncGenerator[bytes]:
        """All rows of the query, from one snapshot; of CSV without a header."""
        async with (
            self._exports.permit(version.tenant),
            aclosing(self._blocks(version, query, wanted, formula_guard=formula_guard)) as blocks,
        ):
            async for block in blocks:
                yield block

    def _blocks(
        self, version: Version, query: RowQuery, wanted: Export, *, formula_guard: bool
    ) -> AsyncGenerator[bytes]:
        match wanted:
            case "csv":
                return self._rows.csv(version, query, formula_guard=formula_guard)
            case "ndjson":
                return self._rows.ndjson(version, query)
            case "parquet" | "arrow":
                encoding = Encoding(format=wanted, columns=query.typed_columns(version.columns))
                return self._encoder.encode(version.tenant, encoding, self._rows.values(version, query))


def _ended(job_id: str, state: str) -> str:
    return f"Job {job_id} {'was ' if state == JobState.CANCELLED else ''}{state}"
