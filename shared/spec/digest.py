"""The digest of a result, from the digests of its buckets (docs/exactness.md)."""

import hashlib
import json
from collections.abc import Mapping, Sequence


def result_digest(columns: Sequence[Mapping[str, str]], buckets: Mapping[int, bytes]) -> str:
    """SHA-256 over `gristmill.digest.1`, the columns' names and types as JSON, and each bucket's number (2 bytes LE) and SHA-256, ascending."""
    schema = json.dumps(
        [[column["name"], column["type"]] for column in columns], ensure_ascii=False, separators=(",", ":")
    )
    digest = hashlib.sha256(b"gristmill.digest.1\n" + schema.encode() + b"\n")
    for bucket in sorted(buckets):
        digest.update(bucket.to_bytes(2, "little") + buckets[bucket])
    return f"sha256:{digest.hexdigest()}"
