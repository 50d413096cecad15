"""Cursors: with which row a page ended, and of which version, filters and order it was a page."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Annotated

import msgspec

from shared.db.rows import Filter, Term
from shared.errors import InvalidCursor


class Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """`job_id` names the version, `query` is a digest of filters and order, `row_id` is the `_id` of the last row of the page."""

    job_id: Annotated[str, msgspec.Meta(pattern="^job_[0-9a-z]{26}\\Z")]
    query: str
    row_id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def fingerprint(filters: Sequence[Filter], order: Sequence[Term]) -> str:
    text = repr(
        ([(f.column, f.operator, f.value) for f in filters], [(t.column, t.descending) for t in order])
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode_cursor(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def decode_cursor(text: str) -> Cursor:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidCursor(
            "This is not a cursor that Gristmill gave; take `next` of the page before"
        ) from error
