"""Rows on the wire: JSON pages with their cursors, and the first line of a CSV stream."""

import base64
import binascii
import codecs
import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec

from api_service.wire.documents import ColumnDocument
from shared.core.entities import Version
from shared.core.row_query import FORMULA, Accuracy, Filter, RowQuery, Rows, Term
from shared.errors import InvalidCursor

BOM = codecs.BOM_UTF8
C = TypeVar("C", bound=msgspec.Struct)
JobId = Annotated[str, msgspec.Meta(pattern="^job_[0-9a-z]{26}\\Z")]


class Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The end of a page.

    `job_id` names the version that the page is of. `query` is the fingerprint of its filters and order.
    `row_id` is the `_id` of its last row.
    """

    job_id: JobId
    query: str
    row_id: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def fingerprint(filters: Sequence[Filter], order: Sequence[Term]) -> str:
    text = repr(
        ([(f.column, f.operator, f.value) for f in filters], [(t.column, t.descending) for t in order])
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode_cursor(cursor: msgspec.Struct) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def decode_cursor(text: str, kind: type[C]) -> C:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidCursor(
            "This is not a cursor that Gristmill gave; take `next` of the page before"
        ) from error


class PageDocument(msgspec.Struct, frozen=True, kw_only=True):
    items: list[dict[str, Any]]
    next: str | None
    version: int | None
    columns: list[ColumnDocument]
    total: int | msgspec.UnsetType = msgspec.UNSET
    total_accuracy: Accuracy | msgspec.UnsetType = msgspec.UNSET


def page_document(
    version: Version,
    query: RowQuery,
    types: Mapping[str, str],
    rows: Rows,
    total: tuple[int, Accuracy] | None = None,
) -> PageDocument:
    """A page of *rows*; *types* are the columns', *total* the rows that match and its accuracy."""
    after = None
    if rows.last is not None:
        after = encode_cursor(Cursor(version.job_id, fingerprint(query.filters, query.order), rows.last))
    return PageDocument(
        items=[dict(zip(query.columns, map(_json_value, row), strict=True)) for row in rows.values],
        next=after,
        version=version.version,
        columns=[ColumnDocument(name, types[name]) for name in query.columns],
        total=total[0] if total else msgspec.UNSET,
        total_accuracy=total[1] if total else msgspec.UNSET,
    )


def _json_value(value: Any) -> Any:
    """A decimal with all its digits: as text it may be `1E+4`, which many clients do not read as a number."""
    if isinstance(value, list):
        return [_json_value(element) for element in value]
    return format(value, "f") if isinstance(value, Decimal) else value


def guarded(cell: str) -> str:
    """With an apostrophe before a character by which spreadsheets take the cell for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
