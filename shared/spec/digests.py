"""The digests of a spec and of a result (docs/exactness.md), and the canonical JSON of a spec."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256

from shared.core.entities import Document
from shared.spec.models import JobSpec


def canonical_json(spec: JobSpec) -> str:
    """Keys sorted, no spaces, all defaults written out: the form in which a spec is stored.

    `JobSpec.model_validate_json` reads it back to an equal spec.
    """
    return _written(spec.model_dump(mode="json", by_alias=True))


def _written(spec: Document) -> str:
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def spec_digest(canonical: str) -> str:
    """`sha256:` and the SHA-256 of the canonical JSON of a spec.

    Equal for bodies that differ only in the order of keys, in spaces or in written-out defaults.
    """
    return "sha256:" + sha256(canonical.encode()).hexdigest()


def earlier_digests(canonical: str) -> tuple[str, ...]:
    """The digests that other defaults of earlier versions gave to the spec with this canonical JSON.

    In version 1 the delimiter was a comma.
    """
    spec = json.loads(canonical)
    csv = spec["source"]["csv"]
    if csv["delimiter"] != "auto":
        return ()
    csv["delimiter"] = ","
    return (spec_digest(_written(spec)),)


def result_digest(columns: Sequence[Mapping[str, str]], buckets: Mapping[int, bytes]) -> str:
    """`sha256:` and the SHA-256 over three things, one after the other.

    First comes the line `gristmill.digest.1`. Then comes a line with the names and types of the *columns* as
    JSON. Then come, ascending, the number of each bucket that has rows (2 bytes, little-endian) and its
    SHA-256.
    """
    schema = json.dumps(
        [[column["name"], column["type"]] for column in columns], ensure_ascii=False, separators=(",", ":")
    )
    digest = sha256(b"gristmill.digest.1\n" + schema.encode() + b"\n")
    for bucket in sorted(buckets):
        digest.update(bucket.to_bytes(2, "little") + buckets[bucket])
    return f"sha256:{digest.hexdigest()}"
