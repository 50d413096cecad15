"""Results of a blocking client."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack

from gristmill.client import chart, exports, frames, rows
from gristmill.client.documents import ResultDocument
from gristmill.client.result import ResultBase
from gristmill.client.rows import Filters, Row, RowWords
from gristmill.client.sync.driver import Driver
from gristmill.client.words import spelled


class Result(ResultBase):
    """A version of a result, whose rows are read when they are asked for.

    `document` is all that is known of it, in the words of docs/http.md. `len()` is the number of its rows.
    """

    def __init__(self, driver: Driver, document: ResultDocument, job_id: str | None = None) -> None:
        super().__init__(document, job_id)
        self._driver = driver

    @spelled(RowWords)
    def rows(self, filters: Filters | None = None, **words: Unpack[RowWords]) -> Iterator[Row]:
        """The rows as dicts with Python's types, read page by page.

        *filters* are those of HTTP: `{"country": "KR", "revenue__gte": 10, "day__in": days, "name": None}`.
        *order_by* names columns, where `-` means descending; without it rows come by `_id`.
        *select* names the columns to read. *limit* is the most rows.
        """
        query = self._query(filters, words)
        return self._driver.items(rows.pages(self._path, query, words.get("limit")))

    @spelled(RowWords)
    def to_dicts(self, filters: Filters | None = None, **words: Unpack[RowWords]) -> list[Row]:
        """All rows of `rows()`, whose arguments it has."""
        return list(self.rows(filters, **words))

    @spelled(RowWords)
    def to_arrow(self, filters: Filters | None = None, **words: Unpack[RowWords]) -> Any:
        """The rows as a pyarrow.Table; arguments as for `rows()`. Raises MissingPackage without pyarrow."""
        query = self._export_query(filters, words)
        return frames.table(self._driver.run(exports.in_memory(self._path, query, "arrow")))

    @spelled(RowWords)
    def to_pandas(self, filters: Filters | None = None, **words: Unpack[RowWords]) -> Any:
        """The rows as a pandas.DataFrame; arguments as for `rows()`.

        Integers and bools with nulls are `Int64` and `boolean`, so they stay exact. Decimals stay decimals.
        """
        return frames.to_pandas(self.to_arrow(filters, **words))

    @spelled(RowWords)
    def to_polars(self, filters: Filters | None = None, **words: Unpack[RowWords]) -> Any:
        """The rows as a polars.DataFrame; arguments as for `rows()`."""
        return frames.to_polars(self.to_arrow(filters, **words))

    @spelled(RowWords)
    def stream(
        self,
        format: str,  # noqa: A002  # the name of HTTP
        filters: Filters | None = None,
        **words: Unpack[RowWords],
    ) -> Iterator[bytes]:
        """The rows as the bytes of a file, as they come; further arguments as for `rows()`.

        *format* is `csv`, `ndjson`, `parquet` or `arrow`. Raises Unreachable if the bytes break off.
        """
        return self._driver.items(exports.streamed(self._path, self._export_query(filters, words), format))

    @spelled(RowWords)
    def download(
        self,
        path: str | Path,
        filters: Filters | None = None,
        *,
        format: str | None = None,  # noqa: A002  # the name of HTTP
        **words: Unpack[RowWords],
    ) -> Path:
        """Store the rows as a file, which appears once it is complete; arguments as for `rows()`.

        The name's end tells the format: `.csv`, `.ndjson`, `.parquet` or `.arrow`.
        """
        query = self._export_query(filters, words)
        return self._driver.run(exports.into_file(self._path, query, path, format))

    def verify_digest(self) -> str:
        """Compute the digest again from the rows that the service sends, and return it.

        Raises DigestMismatch if it is not the one of the result.
        """
        columns = self.document["columns"]
        return self._verified(self._driver.run(exports.digested(self._path, self._pinned, columns)))

    @spelled(RowWords)
    def plot(self, y: str | None = None, filters: Filters | None = None, **words: Unpack[RowWords]) -> Any:
        """A chart of the column *y*, of the first number unless given: matplotlib's Axes.

        A line if the first key is a time, bars otherwise. A second key makes one of each for its values.
        Bars stand in the order of *order_by*, and ascending without it.
        """
        keys = self._driver.run(chart.keys(self._job_id))
        rows = self.to_dicts(filters, **words)
        return chart.drawn(rows, self.columns, keys, y, ordered=bool(words.get("order_by")))
