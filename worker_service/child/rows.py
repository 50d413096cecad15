"""The rows that a job folds: those that its query picks, with the columns that it makes."""

from dataclasses import replace

from shared.spec.provisional import FINAL, Provisional
from shared.spec.query import Query
from shared.spec.source import SourceSpec
from worker_service import kernels
from worker_service.child.texts import text_parser
from worker_service.readers import Batch, Fault


class PreparedRows:
    """Prepares one batch after the other. `filtered` counts the rows that `where` does not pick."""

    def __init__(self, query: Query, source: SourceSpec, provisional: Provisional = FINAL) -> None:
        self.filtered = 0
        self._query, self._parse = query, text_parser(source)
        self._provisional = provisional.columns

    def of(self, batch: Batch) -> Batch:
        """A row in which an expression has an error becomes a bad row."""
        found = kernels.prepare(batch.table, self._query, self._parse)
        self.filtered += found.filtered

        def fault(row: int) -> Fault:
            error = found.error(row)
            derived = error.made.name if error.made in self._query.derived else None
            return Fault(f"{error.made.at}: {error.reason}", column=derived)

        if found.bad is not None:
            provisional = batch.numbers(found.bad_by(self._provisional))
            batch = replace(batch.without(found.bad, fault), provisional=provisional)
        return replace(batch, table=found.table)
