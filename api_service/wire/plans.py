"""Dry runs on the wire."""

import re
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from api_service.wire.links import Links
from shared.core.entities import Document, Job
from shared.core.lifecycle import JobState
from shared.core.look import Look
from shared.errors import Detail, InvalidSpec, Problem
from shared.spec.faults import pointer, refuse
from shared.spec.partial import FILLED

_ID = re.compile("[a-z0-9_]{1,64}")
"""The form of ids in paths, which Postgres can be asked for."""
_NAMING_BYTES = 4096
"""A body that names a plan is small."""


class PlanDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A dry run. `plan` is None while it is under way, and if it has an `error`."""

    id: str
    state: JobState
    waiting_for: Literal["running_jobs"] | None
    done: bool
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    plan: Look | None
    error: Problem | None
    spec: Document | None
    links: dict[str, str]


def plan_document(
    job: Job, look: Look | None, link: Links, *, source_only: bool, kept: timedelta
) -> PlanDocument:
    """*source_only*: the spec has no aggregates of its own. *kept* is how long it is kept after its end."""
    spec = job.spec
    if spec is not None and source_only:
        spec = {key: value for key, value in spec.items() if key not in FILLED}
    return PlanDocument(
        id=job.id,
        state=job.state,
        waiting_for=job.waiting_for,
        done=job.done,
        created_at=job.created_at,
        finished_at=job.finished_at,
        expires_at=job.finished_at + kept if job.finished_at else None,
        plan=look,
        error=job.error,
        spec=spec,
        links={"self": link(f"/v1/plans/{job.id}")},
    )


def named_plan(body: bytes) -> str | None:
    """The id of the plan that the body of a submit names, None if it is a spec. Raises InvalidSpec."""
    if len(body) > _NAMING_BYTES or b'"plan"' not in body:
        return None
    try:
        asked = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(asked, dict) or "plan" not in asked:
        return None
    told = 'a plan has its spec: send {"plan": "plan_…"} alone, or the spec without plan'
    refuse(InvalidSpec, (Detail(pointer=pointer(key), detail=told) for key in asked if key != "plan"))
    if not isinstance(asked["plan"], str) or not _ID.fullmatch(asked["plan"]):
        raise InvalidSpec('plan is the id of a plan, such as "plan_…"', pointer="#/plan")
    return asked["plan"]
