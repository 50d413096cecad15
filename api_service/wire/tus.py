"""The headers of the tus protocol 1.0.0 (https://tus.io/protocols/resumable-upload)."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from email.utils import format_datetime

from api_service.wire.filenames import sane_filename
from shared.core.entities import Checksum, UnfinishedUpload, Upload
from shared.errors import BadRequest, PayloadTooLarge, TusVersion

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
ALGORITHMS = ("sha1", "sha256")
OFFSET_MEDIA = "application/offset+octet-stream"
EVERY_ANSWER = {"Tus-Resumable": VERSION, "Tus-Version": VERSION}
_DIGITS = 18
"""So many digits are no trouble anywhere."""


def check_version(headers: Mapping[str, str]) -> None:
    sent = headers.get("Tus-Resumable")
    if sent != VERSION:
        said = "is missing" if sent is None else f"is {sent[:100]!r}"
        raise TusVersion(f"The header Tus-Resumable {said}; this gateway speaks version {VERSION}")


def upload_length(headers: Mapping[str, str], most: int) -> int:
    """The size of the file to come; raises PayloadTooLarge beyond *most*."""
    if "Upload-Length" not in headers:
        raise BadRequest(
            "The header Upload-Length is missing; the size has to be known (no Upload-Defer-Length)"
        )
    length = _whole(headers, "Upload-Length", digits=100)
    if length > most:
        raise PayloadTooLarge(
            f"Upload-Length is {length}, and an upload may have at most {most} bytes"
            " (GRISTMILL_MAX_UPLOAD_BYTES)"
        )
    return length


def upload_offset(headers: Mapping[str, str]) -> int:
    return _whole(headers, "Upload-Offset")


def _whole(headers: Mapping[str, str], name: str, digits: int = _DIGITS) -> int:
    sent = headers.get(name, "")
    if not re.fullmatch(f"[0-9]{{1,{digits}}}", sent):
        raise BadRequest(f"The header {name} has to be a whole number of bytes, and is {sent[:100]!r}")
    return int(sent)


def filename_of(metadata: str | None) -> str | None:
    """`filename` of Upload-Metadata: pairs of a key and a value in base64, comma-separated."""
    if metadata is not None and not metadata.isascii():
        raise BadRequest("Upload-Metadata has characters that are not ASCII; values are written in base64")
    pairs = {}
    for pair in (metadata or "").split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            pairs[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequest(
                f"Upload-Metadata: the value of {key[:100]!r} is no base64; write: filename <base64>"
            ) from error
    return sane_filename(pairs.get("filename", b"").decode(errors="replace"))


def checksum(headers: Mapping[str, str]) -> Checksum | None:
    sent = headers.get("Upload-Checksum")
    if sent is None:
        return None
    algorithm, _, text = sent.partition(" ")
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if (
        algorithm not in ALGORITHMS
        or len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size
    ):
        raise BadRequest(
            f"Upload-Checksum is {sent[:100]!r}; it has to be one of {' or '.join(ALGORITHMS)}, a space and "
            "the digest in base64"
        )
    return Checksum(algorithm, digest)


def progress(upload: Upload | UnfinishedUpload) -> dict[str, str]:
    """The headers that tell how far an upload has come, and until when it can go on."""
    if isinstance(upload, Upload):
        return {"Upload-Offset": str(upload.bytes)}
    expires = format_datetime(upload.expires_at, usegmt=True)
    return {"Upload-Offset": str(upload.received), "Upload-Expires": expires}


def description(upload: Upload | UnfinishedUpload) -> dict[str, str]:
    """The headers of an upload that do not change; of the metadata a finished one has only its name."""
    metadata = (
        upload.metadata
        if isinstance(upload, UnfinishedUpload)
        else upload.filename and f"filename {base64.b64encode(upload.filename.encode()).decode()}"
    )
    return {"Upload-Length": str(upload.bytes)} | ({"Upload-Metadata": metadata} if metadata else {})
