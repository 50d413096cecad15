"""The outcomes of a change of many jobs on the wire."""

from collections.abc import Sequence

import msgspec

from shared.core.job_filter import Outcome
from shared.errors import Problem


class OutcomeDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`state` is that of the job after the change; null, with an `error`, if it could not be changed.

    `changed` is false, too, for a job that was as asked before.
    """

    id: str
    changed: bool
    state: str | None
    error: Problem | None


class BulkDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`changed` counts the jobs that this request has changed."""

    changed: int
    items: list[OutcomeDocument]


def bulk_document(outcomes: Sequence[Outcome]) -> BulkDocument:
    return BulkDocument(
        changed=sum(each.changed for each in outcomes),
        items=[
            OutcomeDocument(id=each.job_id, changed=each.changed, state=each.state, error=each.error)
            for each in outcomes
        ],
    )
