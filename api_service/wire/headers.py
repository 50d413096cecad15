"""The request headers that matter: Prefer, Idempotency-Key, Content-Digest, the Accepts, If-None-Match."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Literal

from shared.errors import BadRequest, NotAcceptable

MAX_WAIT_SECONDS = 60
Format = Literal["json", "csv", "ndjson", "parquet", "arrow"]
Coding = Literal["zstd", "gzip"]
_CODINGS: tuple[Coding, ...] = ("zstd", "gzip")
"""The better one first."""
_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?", re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
PAGE_OR_LINES: dict[str, Format] = {
    "application/json": "json", "application/*": "json", "*/*": "json", "text/csv": "csv", "text/*": "csv",
    "application/x-ndjson": "ndjson",
}  # fmt: skip
"""By media type, or a range of them: the formats in which rows come."""


def preferred_wait(prefer: list[str]) -> int | None:
    """Seconds of `Prefer: wait=N`, at most 60.

    Other preferences, and those that cannot be read, are ignored (RFC 7240).
    """
    for preference in ",".join(prefer).split(","):
        if found := _WAIT.fullmatch(preference.strip()):
            return min(int(found[1]), MAX_WAIT_SECONDS)
    return None


def idempotency_key(sent: str | None) -> str | None:
    if sent is not None and not _KEY.fullmatch(sent):
        raise BadRequest("An Idempotency-Key is 1 to 255 visible ASCII characters")
    return sent


def promised_sha256(content_digest: list[str]) -> str | None:
    """The SHA-256 of `Content-Digest: sha-256=:<base64>:` (RFC 9530) in hex; other algorithms are ignored."""
    for entry in ",".join(content_digest).split(","):
        algorithm, _, value = entry.strip().partition("=")
        if algorithm.lower() == "sha-256":
            return _decoded(value).hex()
    return None


def _decoded(value: str) -> bytes:
    try:
        digest = base64.b64decode(value[1:-1], validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32 or value[0] + value[-1] != "::":
        raise BadRequest("Content-Digest is written sha-256=:<the 32 bytes in base64>:")
    return digest


def negotiated(accept: list[str], media: Mapping[str, Format]) -> Format:
    """The format of *media* that the client prefers; without an Accept header JSON."""
    wanted = [_quality_and_type(entry) for entry in ",".join(accept).split(",") if entry.strip()]
    offered = sorted(
        (entry for entry in wanted if entry[0] > 0 and entry[1] in media), key=lambda entry: -entry[0]
    )
    if wanted and not offered:
        offers = " or ".join(name for name in media if "*" not in name)
        raise NotAcceptable(f"Rows come as {offers}")
    return media[offered[0][1]] if offered else "json"


def accepted_coding(accept_encoding: list[str]) -> Coding | None:
    """The coding that the client names with the highest quality; None to send the body as it is."""
    wanted = {
        coding: quality
        for entry in ",".join(accept_encoding).split(",")
        for quality, coding in [_quality_and_type(entry)]
    }
    best = max(_CODINGS, key=lambda coding: wanted.get(coding, 0.0))
    quality = wanted.get(best, 0.0)
    return best if quality > 0 and quality >= wanted.get("identity", 0.0) else None


def _quality_and_type(entry: str) -> tuple[float, str]:
    media, *parameters = (part.strip().lower() for part in entry.split(";"))
    quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    return (float(quality) if re.fullmatch(r"[01](\.[0-9]{0,3})?", quality) else 0.0), media


def etag_matches(if_none_match: list[str], etag: str) -> bool:
    """Weak comparison, as RFC 9110 demands for If-None-Match."""
    sent = [tag.strip().removeprefix("W/") for tag in ",".join(if_none_match).split(",")]
    return "*" in sent or etag.removeprefix("W/") in sent


_REVISION = re.compile(r'(?:(?:W/)?"([0-9]{1,18})(?:-[0-9a-f]{12})?"|([0-9]{1,18}))')


def matched_revisions(if_match: list[str]) -> frozenset[int] | None:
    """The revisions of a job that `If-Match` allows; None for any.

    A job's ETag begins with its revision, and only that counts: the progress of its units is no change of it.
    A revision may also stand alone. A tag of another form matches no revision.
    """
    tags = [tag.strip() for tag in ",".join(if_match).split(",") if tag.strip()]
    if not if_match or "*" in tags:
        return None
    found = (_REVISION.fullmatch(tag) for tag in tags)
    return frozenset(int(match[1] or match[2]) for match in found if match)
