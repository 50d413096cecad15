"""API keys. A key without `admin` sees those that it made itself."""

from api_service.handlers import keys
from api_service.operations import Operation
from api_service.routes.paths import ID
from api_service.routes.rows import AFTER, LIMIT
from api_service.wire.documents import Page
from api_service.wire.keys import KeyDocument, KeyRequest, MadeKeyDocument

OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/keys",
        handler=keys.create,
        summary="Make a key with some of the rights of this one",
        scope="submit",
        body=KeyRequest,
        example={"name": "browser of anna", "scopes": ["upload"], "expires": "15m"},
        answers={201: MadeKeyDocument},
        defer_continue=True,
    ),
    Operation(
        method="GET",
        path="/v1/keys",
        handler=keys.search,
        summary="List keys, newest first",
        scope="submit",
        parameters=(AFTER, LIMIT),
        answers={200: Page[KeyDocument]},
    ),
    Operation(
        method="GET",
        path=f"/v1/keys/{ID}",
        handler=keys.read,
        summary="Read what is known of a key",
        scope="submit",
        answers={200: KeyDocument},
    ),
    Operation(
        method="DELETE",
        path=f"/v1/keys/{ID}",
        handler=keys.revoke,
        summary="Revoke a key, and the keys that it made",
        scope="submit",
        answers={204: None},
    ),
)
