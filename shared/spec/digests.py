"""The digests of a spec and of a result (docs/exactness.md), and the canonical JSON of a spec."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256

from shared.spec.models import JobSpec


def canonical_json(spec: JobSpec) -> str:
    """Keys sorted, no spaces, all defaults written out: the form in which a spec is stored.

    `JobSpec.model_validate_json` reads it back to an equal spec.
    """
    return json.dumps(
        spec.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def spec_digest(spec: JobSpec) -> str:
    """`sha256:` and the SHA-256 of the canonical JSON.

    Equal for bodies that differ only in the order of keys, in spaces or in written-out defaults.
    """
    return "sha256:" + sha256(canonical_json(spec).encode()).hexdigest()


def earlier_digests(spec: JobSpec) -> tuple[str, ...]:
    """The digests that other defaults of earlier versions gave to the body of *spec*.

    In version 1 the delimiter was a comma.
    """
    if spec.source.csv.delimiter != "auto":
        return ()
    csv = spec.source.csv.model_copy(update={"delimiter": ","})
    source = spec.source.model_copy(update={"csv": csv})
    return (spec_digest(spec.model_copy(update={"source": source})),)


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
