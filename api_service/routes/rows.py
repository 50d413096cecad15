"""The parameters of lists and of rows, and the answers of rows."""

from collections.abc import Mapping
from typing import Any

from api_service.operations import Parameter, text, whole
from api_service.wire.pages import PageDocument
from api_service.wire.parameters import MAX_LIST
from api_service.wire.row_formats import FORMATS
from api_service.wire.row_queries import MAX_PAGE_ROWS

AFTER = text("after", "`next` of the page before")
LIMIT = whole("limit", "The most items of a page; 100 unless given", MAX_LIST)
ROWS = (
    Parameter(
        name="order_by",
        about="Columns, comma-separated; - means descending",
        kind={"type": "string"},
        repeated=True,
    ),
    Parameter(
        name="select", about="The columns to show, comma-separated", kind={"type": "string"}, repeated=True
    ),
    whole("limit", "The most rows of a page; 100 unless given", MAX_PAGE_ROWS),
    AFTER,
    whole("version", "The version of a named result; the current one unless given", 2**31 - 1),
    text("format", "The form of the rows; beats the Accept header", enum=list(FORMATS)),
    text(
        "total",
        "How a page counts the rows that match; none unless given",
        enum=["none", "estimate", "exact"],
    ),
    text("bom", "Whether CSV begins with a byte order mark, for Excel", enum=["true", "false"]),
    text(
        "formula_guard",
        "Whether texts of CSV that a spreadsheet would run as a formula get an apostrophe",
        enum=["true", "false"],
    ),
)
ROWS_ANSWERS: Mapping[int, Any] = {
    200: (PageDocument, *(FORMATS[name].media for name in FORMATS if name != "json"))
}
"""A page, or a stream of any other format."""
