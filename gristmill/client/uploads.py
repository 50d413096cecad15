"""Uploads: a small file in one request, a large one by tus, which goes on where it broke off."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from gristmill.client import moments
from gristmill.client.asking import RETRIES, ask, pause, rest
from gristmill.client.documents import UploadDocument
from gristmill.client.errors import ProblemError, SourceChanged, Unreachable, UploadInterrupted
from gristmill.client.moments import Show
from gristmill.client.sources import Content
from gristmill.client.steps import Request, Steps

LARGE_BYTES = 1 << 24
"""Files from this size on are uploaded by tus."""
TUS = {"Tus-Resumable": "1.0.0"}
LOST = {400, 409, 423}
"""Statuses of a PATCH whose stored bytes another one goes on from: cut off, another offset, locked."""


class _Hashed:
    """The bytes of a content; those below `position` are in the hash, however often they are sent."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._begin()

    def _begin(self) -> None:
        self.position, self._hash = 0, hashlib.sha256()

    def blocks(self, offset: int) -> Iterator[bytes]:
        """The bytes from *offset* to the size at the beginning. Raises SourceChanged if there are fewer."""
        if offset == 0:
            self._begin()
        at, end = offset, self._content.size
        for whole in self._content.blocks(offset):
            block = whole if end is None else whole[: end - at]
            if not block:  # the file has grown
                break
            new = at + len(block) - self.position
            if new > 0:
                self._hash.update(block if new >= len(block) else block[-new:])
                self.position += new
            at += len(block)
            yield block
        if end is not None and at != end:
            raise SourceChanged(
                f"{self._content.name} had {end:,} bytes, and ends after {at:,}. "
                "Upload it again when it is at rest"
            )

    def catch_up(self, offset: int) -> None:
        """Hash the bytes below *offset* that another process has sent."""
        for block in self._content.blocks(self.position) if self.position < offset else ():
            self._hash.update(block[: offset - self.position])
            self.position += min(len(block), offset - self.position)
            if self.position == offset:
                return

    def sha256(self) -> str:
        return self._hash.hexdigest()


def upload(content: Content, show: Show, resume: str | None = None) -> Steps[UploadDocument]:
    """The stored file, whose bytes are compared with those that were sent.

    Raises UploadInterrupted when a large upload broke off for good, SourceChanged when the bytes differ.
    """
    hashed = _Hashed(content)
    if resume is None and (content.size is None or content.size < LARGE_BYTES or not content.repeatable):
        document = yield from _at_once(content, hashed, show)
    else:
        document = yield from _resumable(content, hashed, show, resume)
    if document["sha256"] != hashed.sha256():
        yield from ask(Request(method="DELETE", path=f"/v1/uploads/{document['id']}"))
        raise SourceChanged(
            f"{content.name}: {hashed.position:,} bytes with the SHA-256 {hashed.sha256()} were sent, but "
            f"{document['bytes']:,} with {document['sha256']} were stored. Upload it again when it is at rest"
        )
    return document


def _told(content: Content, offset: int, show: Show) -> Callable[[int], None]:
    """Shows the bytes that were sent, from *offset* on."""
    at = offset

    def sent(count: int) -> None:
        nonlocal at
        at += count
        show(moments.of_upload(content.name, at, content.size))

    return sent


def _at_once(content: Content, hashed: _Hashed, show: Show) -> Steps[UploadDocument]:
    length = {} if content.size is None else {"Content-Length": str(content.size)}
    document: UploadDocument = (
        yield from ask(
            Request(
                method="POST",
                path="/v1/uploads",
                query=[("filename", content.name)],
                headers={"Content-Type": "application/octet-stream"} | length,
                blocks=lambda: hashed.blocks(0),
                sent=_told(content, 0, show),
                safe=content.repeatable,
            )
        )
    ).json()
    return document


def _resumable(content: Content, hashed: _Hashed, show: Show, resume: str | None) -> Steps[UploadDocument]:
    size = content.size
    if size is None or not content.repeatable:
        raise TypeError(f"{content.name} cannot be resumed: it has no size, or cannot be read twice")
    upload_id = resume or (yield from _begun(content, size))
    offset: int | None = None if resume else 0
    failures = stored = 0
    try:
        while offset != size:
            try:
                if offset is None:
                    offset = yield from _offset(upload_id)
                    hashed.catch_up(offset)
                else:
                    offset = yield from _sent(upload_id, content, hashed, show, offset)
                failures = failures if offset == stored else 0
                stored = offset
            except (Unreachable, ProblemError) as error:
                if isinstance(error, ProblemError) and error.status not in LOST and error.status < 500:
                    raise
                failures += 1
                if failures > RETRIES:
                    reason = error.reason if isinstance(error, Unreachable) else error.detail
                    raise UploadInterrupted(upload_id, content.name, stored, size, reason) from error
                yield rest(error, failures - 1, pause(failures))
                offset = None
    except KeyboardInterrupt as stopped:
        stopped.add_note(str(UploadInterrupted(upload_id, content.name, stored, size)))
        raise
    answer = yield from ask(Request(method="GET", path=f"/v1/uploads/{upload_id}"))
    document: UploadDocument = answer.json()
    return document


def _begun(content: Content, size: int) -> Steps[str]:
    """The id of a new unfinished upload."""
    name = base64.b64encode(content.name.encode()).decode()
    headers = TUS | {"Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
    answer = yield from ask(Request(method="POST", path="/v1/tus", headers=headers))
    return str(answer.headers["Location"]).rpartition("/")[2]


def _offset(upload_id: str) -> Steps[int]:
    """The number of bytes that are stored."""
    return _stored((yield from ask(Request(method="HEAD", path=f"/v1/tus/{upload_id}", headers=TUS))))


def _sent(upload_id: str, content: Content, hashed: _Hashed, show: Show, offset: int) -> Steps[int]:
    """Send all bytes from *offset* on; the number of bytes that are stored then."""
    assert content.size is not None  # or it would not be resumable
    headers: dict[str, Any] = {
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(content.size - offset),
    }
    request = Request(
        method="PATCH",
        path=f"/v1/tus/{upload_id}",
        headers=TUS | headers,
        blocks=lambda: hashed.blocks(offset),
        sent=_told(content, offset, show),
        safe=False,
    )
    return _stored((yield from ask(request)))


def _stored(answer: httpx2.Response) -> int:
    return int(answer.headers["Upload-Offset"])
