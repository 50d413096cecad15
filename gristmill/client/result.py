"""The parts of results that both clients share."""

import html

from gristmill.client.documents import ResultDocument
from gristmill.client.errors import DigestMismatch
from gristmill.client.moments import table_html
from gristmill.client.rows import Filters, RowWords, row_query
from gristmill.client.steps import Query


class ResultBase:
    """A version of a result."""

    def __init__(self, document: ResultDocument, job_id: str | None = None) -> None:
        self.document = document
        self._job_id = job_id or document.get("job_id")
        of_job = job_id is not None
        self._path = f"/v1/jobs/{job_id}/rows" if of_job else f"/v1/results/{document['name']}/rows"
        self._pinned: Query = [] if of_job else [("version", str(document["version"]))]

    @property
    def name(self) -> str | None:
        """The name under which it is published, None without one."""
        return self.document["name"]

    @property
    def version(self) -> int | None:
        """The number of this version of the name. All methods read this one."""
        return self.document["version"]

    @property
    def relation(self) -> str:
        """The name of the rows for SQL, with its schema."""
        return self.document["relation"]

    @property
    def digest(self) -> str:
        """SHA-256 over the rows (docs/exactness.md): equal digests mean equal rows."""
        return self.document["digest"]

    @property
    def columns(self) -> dict[str, str]:
        """The names of the columns with their types."""
        return {column["name"]: column["type"] for column in self.document["columns"]}

    def __len__(self) -> int:
        return self.document["rows"]

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        version = "" if self.version is None else f" version {self.version}"
        size = f"{len(self):,} rows, {len(self.columns)} columns"
        return f"<{type(self).__name__} {self.relation}{version}, {size}>"

    def _repr_html_(self) -> str:
        return f"<div>{html.escape(repr(self))}</div>{table_html(self.columns)}"

    def _query(self, filters: Filters | None, words: RowWords) -> Query:
        return [*row_query(filters, words), *self._pinned]

    def _export_query(self, filters: Filters | None, words: RowWords) -> Query:
        limit = words.get("limit")
        return self._query(filters, words) + ([] if limit is None else [("limit", str(limit))])

    def _verified(self, computed: str) -> str:
        if computed != self.digest:
            raise DigestMismatch(self.relation, self.digest, computed)
        return computed
