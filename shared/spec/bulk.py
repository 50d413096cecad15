"""The body of a change of many jobs: which ones, and how many the caller expects."""

from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from shared.core.job_filter import JobFilter
from shared.core.lifecycle import JobState
from shared.spec import values as v
from shared.spec.objects import SpecObject

MOST_JOBS = 1000
"""The most jobs that one request changes."""


class JobFilterSpec(SpecObject):
    """The fields by which a list of jobs is filtered; `labels` is an object."""

    state: JobState | None = None
    labels: Annotated[dict[v.LabelKey, v.LabelValue], v.at_most(32)] | None = None
    name: v.ResultName | None = None
    source: Annotated[str, Field(min_length=1, max_length=1000), v.checked(v.plain)] | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    error_code: Annotated[str, StringConstraints(pattern="^[a-z_]{1,64}$")] | None = None

    def wanted(self) -> JobFilter:
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return JobFilter(**{**fields, "labels": self.labels or None})


class BulkRequest(SpecObject):
    """*expected* is the number of jobs that the filter must match."""

    filter: JobFilterSpec
    expected: Annotated[v.Integer, Field(ge=0, le=MOST_JOBS)]
