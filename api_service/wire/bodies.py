"""Bodies that are described, and read by other means than their type."""

import msgspec

from shared.core.entities import Document


class PlanReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The plan that a job begins with; its spec is the plan's."""

    plan: str


class PlanRequest(msgspec.Struct, frozen=True):
    """A spec of a job, of which all but the source may be left out."""

    source: Document
