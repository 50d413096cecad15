"""The one spelling of a spec: what is stored, and what its digest is taken of."""

import json
from hashlib import sha256

from shared.spec.models import JobSpec


def canonical_json(spec: JobSpec) -> str:
    """Keys sorted, no spaces, all defaults written out.

    `JobSpec.model_validate_json` reads it back to an equal spec.
    """
    return json.dumps(
        spec.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def spec_digest(spec: JobSpec) -> str:
    """`sha256:` and the hash of the canonical JSON: equal for bodies that differ in order, spacing or written-out defaults."""
    return "sha256:" + sha256(canonical_json(spec).encode()).hexdigest()
