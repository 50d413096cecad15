"""Results of the client for asyncio."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Unpack

from gristmill.client import chart, exports, frames, rows
from gristmill.client.aio.driver import AsyncDriver
from gristmill.client.documents import ResultDocument
from gristmill.client.result import ResultBase
from gristmill.client.rows import Filters, Row, RowWords
from gristmill.client.sync.result import Result
from gristmill.client.words import described_by, spelled


@described_by(Result)
class AsyncResult(ResultBase):
    """A version of a result, whose rows are read when they are asked for.

    `document` is all that is known of it, in the words of docs/http.md. `len()` is the number of its rows.
    """

    def __init__(self, driver: AsyncDriver, document: ResultDocument, job_id: str | None = None) -> None:
        super().__init__(document, job_id)
        self._driver = driver

    @spelled(RowWords)
    def rows(self, filters: Filters | None = None, **words: Unpack[RowWords]) -> AsyncIterator[Row]:
        query = self._query(filters, words)
        return self._driver.items(rows.pages(self._path, query, words.get("limit")))

    @spelled(RowWords)
    async def to_dicts(self, filters: Filters | None = None, **words: Unpack[RowWords]) -> list[Row]:
        return [row async for row in self.rows(filters, **words)]

    @spelled(RowWords)
    async def to_arrow(self, filters: Filters | None = None, **words: Unpack[RowWords]) -> Any:
        query = self._export_query(filters, words)
        return frames.table(await self._driver.run(exports.in_memory(self._path, query, "arrow")))

    @spelled(RowWords)
    async def to_pandas(self, filters: Filters | None = None, **words: Unpack[RowWords]) -> Any:
        return frames.to_pandas(await self.to_arrow(filters, **words))

    @spelled(RowWords)
    async def to_polars(self, filters: Filters | None = None, **words: Unpack[RowWords]) -> Any:
        return frames.to_polars(await self.to_arrow(filters, **words))

    @spelled(RowWords)
    def stream(
        self,
        format: str,  # noqa: A002
        filters: Filters | None = None,
        **words: Unpack[RowWords],
    ) -> AsyncIterator[bytes]:
        return self._driver.items(exports.streamed(self._path, self._export_query(filters, words), format))

    @spelled(RowWords)
    async def download(
        self,
        path: str | Path,
        filters: Filters | None = None,
        *,
        format: str | None = None,  # noqa: A002  # the name of HTTP
        **words: Unpack[RowWords],
    ) -> Path:
        query = self._export_query(filters, words)
        return await self._driver.run(exports.into_file(self._path, query, path, format))

    async def verify_digest(self) -> str:
        columns = self.document["columns"]
        return self._verified(await self._driver.run(exports.digested(self._path, self._pinned, columns)))

    @spelled(RowWords)
    async def plot(
        self, y: str | None = None, filters: Filters | None = None, **words: Unpack[RowWords]
    ) -> Any:
        keys = await self._driver.run(chart.keys(self._job_id))
        rows = await self.to_dicts(filters, **words)
        return chart.drawn(rows, self.columns, keys, y, ordered=bool(words.get("order_by")))
