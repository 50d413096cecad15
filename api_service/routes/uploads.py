"""Uploads."""

from api_service.handlers import uploads
from api_service.operations import Operation, text
from api_service.routes.paths import ID
from api_service.routes.rows import AFTER, LIMIT
from api_service.wire.documents import Page, UploadDocument

CONTENT_DIGEST = text("Content-Digest", "sha-256=:<base64>: of the file, which is then checked (RFC 9530)")

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/uploads",
        handler=uploads.create,
        summary="Store a file, which is the body or the one file of a form",
        scope="upload",
        parameters=(text("filename", "The name that the file is known by", minLength=1, maxLength=255),),
        headers=(CONTENT_DIGEST,),
        body=("application/octet-stream", "multipart/form-data"),
        answers={201: UploadDocument},
        defer_continue=True,
    ),
    Operation(
        method="GET",
        path="/v1/uploads",
        handler=uploads.search,
        summary="List uploads, newest first, finished or not",
        scope="submit",
        parameters=(AFTER, LIMIT),
        answers={200: Page[UploadDocument]},
    ),
    Operation(
        method="GET",
        path=f"/v1/uploads/{ID}",
        handler=uploads.read,
        summary="Read what is known of an upload",
        scope="upload",
        answers={200: UploadDocument},
    ),
    Operation(
        method="DELETE",
        path=f"/v1/uploads/{ID}",
        handler=uploads.delete,
        summary="Delete an upload",
        scope="upload",
        answers={204: None},
    ),
)
