"""The outcomes of a change of many jobs on the wire."""

from collections.abc import Sequence

import msgspec

from shared.core.job_filter import Outcome
from shared.errors import Problem


class OutcomeDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`state` is that of the job after the change; null, with an `error`, if it was not changed."""

    id: str
    state: str | None
    error: Problem | None


class BulkDocument(msgspec.Struct, frozen=True, kw_only=True):
    changed: int
    items: list[OutcomeDocument]


def bulk_document(outcomes: Sequence[Outcome]) -> BulkDocument:
    return BulkDocument(
        changed=sum(each.error is None for each in outcomes),
        items=[OutcomeDocument(id=each.job_id, state=each.state, error=each.error) for each in outcomes],
    )
