"""The parts of a job that a page shows beside its document. All pages of the job share one answer."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from api_service.services.cache import TtlCache
from api_service.services.history import HistoryService
from api_service.services.jobs import OLD_SECONDS, JobView
from api_service.services.quarantine import QuarantineService
from api_service.services.results import ResultService
from api_service.services.uploads import UploadService
from shared.core.entities import Document, KeptRow
from shared.core.history import Entry
from shared.core.lifecycle import JobState
from shared.core.strip import Cause, Cell, chunks_per_cell
from shared.db.strips import Extent, StripStore
from shared.errors import NoResult, NotFound

STRIP_SECONDS, DETAIL_SECONDS = 2.0, 1.0
_TIMES = 20
"""At most a twentieth of the time one gateway has Postgres read a strip."""
MOST_ENTRIES, MOST_BAD_ROWS = 100, 20
_BEGINNING = (-1, -1)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Strip:
    """Cells of *per* chunks each. All of them were read at one time, after *extent*."""

    cells: list[Cell]
    per: int
    extent: Extent


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """`receipt` is None without one; `further` says whether the history has other entries.

    `uris` are the files of the job, and `filenames` the names of those that were uploaded, by their URIs.
    """

    history: list[Entry]
    further: bool
    causes: list[Cause]
    receipt: Mapping[str, Any] | None
    bad_rows: list[KeptRow]
    uris: list[str]
    filenames: dict[str, str]


class JobPages:
    """The caller has read the job, so it is one of its tenant."""

    def __init__(
        self,
        strips: StripStore,
        history: HistoryService,
        results: ResultService,
        bad_rows: QuarantineService,
        uploads: UploadService,
    ) -> None:
        self._strips, self._history, self._results = strips, history, results
        self._bad_rows, self._uploads = bad_rows, uploads
        self._cells = TtlCache[Strip](STRIP_SECONDS, _TIMES, old_seconds=OLD_SECONDS)
        self._details = TtlCache[Details](DETAIL_SECONDS, _TIMES)

    async def extent(self, tenant: str, job_id: str) -> Extent:
        """Raises NotFound."""
        extent = await self._strips.extent(tenant, job_id)
        if extent is None:
            raise NotFound(f"There is no job {job_id}")
        return extent

    async def strip(self, job_id: str, extent: Extent, first: int | None, *, recent: bool = False) -> Strip:
        """All chunks of a job, or those from number *first* on with a cell each.

        It needs no view of the job, so both can be read at once: either counts all units. A *recent* strip
        may be OLD_SECONDS older, but of no earlier revision. Only a strip from the first chunk on is kept,
        since any number of others may be asked for.
        """
        per = chunks_per_cell(extent.chunks) if first is None else 1
        load = partial(self._strip, job_id, first or 0, per, extent)
        if first:
            return await load()
        read = self._cells.recent if recent else self._cells.get
        return await read((job_id, f"{extent.revision} {per}"), load)

    async def _strip(self, job_id: str, first: int, per: int, extent: Extent) -> Strip:
        cells = await self._strips.cells(job_id, first, per)
        return Strip(cells, per, extent)

    async def details(self, view: JobView) -> Details:
        """Never from an earlier revision of the job. Raises the errors of the services."""
        return await self._details.get(
            (view.job.id, str(view.job.revision)), partial(self._read_details, view)
        )

    async def _read_details(self, view: JobView) -> Details:
        tenant, job_id = view.job.tenant, view.job.id
        uris = _uris(view.job.spec)
        (history, further), causes, receipt, bad_rows, filenames = await asyncio.gather(
            self._history.page(tenant, job_id, after=0, limit=MOST_ENTRIES),
            self._strips.causes(job_id),
            self._receipt(view),
            self._first_bad_rows(view),
            self._uploads.filenames(tenant, uris),
        )
        return Details(
            history=history,
            further=further,
            causes=causes,
            receipt=receipt,
            bad_rows=bad_rows,
            uris=uris,
            filenames=filenames,
        )

    async def _receipt(self, view: JobView) -> Mapping[str, Any] | None:
        if view.job.state != JobState.SUCCEEDED:
            return None
        with suppress(NoResult):  # an early version of Gristmill wrote none
            return await self._results.receipt(view.job.tenant, view.job.id)
        return None

    async def _first_bad_rows(self, view: JobView) -> list[KeptRow]:
        if not view.progress.rows.quarantined:
            return []
        tenant, job_id = view.job.tenant, view.job.id
        epoch, _ = await self._bad_rows.job(tenant, job_id, None)
        async with self._bad_rows.page(tenant, job_id, epoch, _BEGINNING, MOST_BAD_ROWS) as (rows, _):
            return rows


def _uris(spec: Document | None) -> list[str]:
    """The files of a stored spec; of a strange one none."""
    source = (spec or {}).get("source")
    uris = source.get("uris") if isinstance(source, dict) else None
    return [uri for uri in uris if isinstance(uri, str)] if isinstance(uris, list) else []
