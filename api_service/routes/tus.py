"""Resumable uploads by the tus protocol."""

from api_service.handlers import tus
from api_service.operations import Operation
from api_service.routes.headers import (
    TUS_RESUMABLE,
    UPLOAD_CHECKSUM,
    UPLOAD_LENGTH,
    UPLOAD_METADATA,
    UPLOAD_OFFSET,
)
from api_service.routes.paths import ID
from api_service.wire.tus import OFFSET_MEDIA

_ALL = "/v1/tus"
_ONE = f"{_ALL}/{ID}"
OPERATIONS = (
    Operation(
        method="OPTIONS",
        path=_ALL,
        handler=tus.describe,
        summary="Tell the version and the extensions of the tus protocol",
        scope="upload",
        answers={204: None},
    ),
    Operation(
        method="POST",
        path=_ALL,
        handler=tus.create,
        summary="Begin a resumable upload, with its first bytes or without",
        scope="upload",
        headers=(TUS_RESUMABLE, UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_CHECKSUM),
        body=OFFSET_MEDIA,
        answers={201: None},
        defer_continue=True,
    ),
    Operation(
        method="HEAD",
        path=_ONE,
        handler=tus.head,
        summary="Tell how many bytes of a resumable upload are stored",
        scope="upload",
        headers=(TUS_RESUMABLE,),
        answers={200: None},
    ),
    Operation(
        method="PATCH",
        path=_ONE,
        handler=tus.append,
        summary="Add bytes to a resumable upload",
        scope="upload",
        headers=(TUS_RESUMABLE, UPLOAD_OFFSET, UPLOAD_CHECKSUM),
        body=OFFSET_MEDIA,
        answers={204: None},
        defer_continue=True,
    ),
    Operation(
        method="DELETE",
        path=_ONE,
        handler=tus.terminate,
        summary="Delete a resumable upload, finished or not",
        scope="upload",
        headers=(TUS_RESUMABLE,),
        answers={204: None},
    ),
    Operation(
        method="POST",
        path=_ONE,
        handler=tus.override,
        summary="Add bytes or delete, as X-HTTP-Method-Override says",
        scope="upload",
        headers=(TUS_RESUMABLE, UPLOAD_OFFSET, UPLOAD_CHECKSUM),
        body=OFFSET_MEDIA,
        answers={204: None},
        defer_continue=True,
    ),
)
