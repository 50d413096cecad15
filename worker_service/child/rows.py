"""The rows that a job folds: what its query makes and picks of each batch."""

import pyarrow as pa

from shared.errors import BadRow
from shared.spec.query import Query
from shared.spec.source import SourceSpec
from worker_service import kernels
from worker_service.child.texts import text_parser


class PreparedRows:
    """Prepares one table after the other. `filtered` counts the rows that `where` does not pick."""

    def __init__(self, query: Query, source: SourceSpec) -> None:
        self.filtered = 0
        self._query, self._parse = query, text_parser(source)

    def of(self, table: pa.Table) -> pa.Table:
        """Raises BadRow for the first row in which an expression has an error."""
        found = kernels.prepare(table, self._query, self._parse)
        if found.bad is not None:
            error = found.error(int(found.bad.argmax()))
            raise BadRow(f"{error.made.at}: {error.reason}")
        self.filtered += found.filtered
        return found.table
