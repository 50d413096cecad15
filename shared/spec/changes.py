"""The changes of a job that a request asks for, as a merge patch (RFC 7396) of some of its fields."""

from typing import Annotated

from pydantic import Field

from shared.errors import InvalidBody
from shared.spec import values as v
from shared.spec.bodies import read_body
from shared.spec.objects import SpecObject

MAX_LABELS = 32


class Changes(SpecObject):
    """A field that is left out stays. A label of null goes, and labels of null all go.

    The deadline is a duration from now on; null: none.
    """

    priority: Annotated[v.Integer, Field(ge=0, le=9)] = 5
    labels: Annotated[dict[v.LabelKey, v.LabelValue | None], v.at_most(2 * MAX_LABELS)] | None = None
    deadline: v.Duration | None = None

    def asks(self, field: str) -> bool:
        return field in self.model_fields_set


def parse_changes(body: bytes) -> Changes:
    """Raises MalformedJson and InvalidBody."""
    changes = read_body(Changes, body)
    if not changes.model_fields_set:
        raise InvalidBody("The body changes nothing; give priority, labels or deadline", pointer="#")
    return changes


def merged_labels(labels: dict[str, str], changes: dict[str, str | None] | None) -> dict[str, str]:
    """The labels after a merge patch; raises InvalidBody if there are more than MAX_LABELS."""
    merged = {**labels, **changes} if changes is not None else {}
    left = {key: value for key, value in merged.items() if value is not None}
    if len(left) > MAX_LABELS:
        raise InvalidBody(
            f"The job would have {len(left)} labels; it may have {MAX_LABELS}", pointer="#/labels"
        )
    return left
