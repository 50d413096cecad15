"""The request headers that operations have in common, and the example of a spec."""

from api_service.operations import Parameter, text

EXAMPLE = {
    "source": {"uris": ["upload:upl_01j9zk3f5w8x2c4v6b7n8m9q0r"], "format": "csv"},
    "group_by": ["country"],
    "aggregates": [{"fn": "count"}, {"fn": "sum", "column": "price", "as": "revenue"}],
    "output": {"name": "sales"},
}
IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    about="Makes it safe to send the request again: the same key gives the same job",
    kind={"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
)
PREFER = text("Prefer", "wait=N: keep the request open for N seconds at most, up to 60")
IF_NONE_MATCH = text("If-None-Match", "The ETag of the answer before")
IF_MATCH = text("If-Match", "The ETag or the revision that the job must still have")
LAST_EVENT_ID = text("Last-Event-ID", "The id of the last event that the client has seen")
TUS_RESUMABLE = text("Tus-Resumable", "The version of the tus protocol", enum=["1.0.0"])
UPLOAD_OFFSET = Parameter(
    name="Upload-Offset",
    about="The number of bytes that are stored already",
    kind={"type": "integer", "minimum": 0},
)
UPLOAD_LENGTH = Parameter(
    name="Upload-Length", about="The size of the file", kind={"type": "integer", "minimum": 0}
)
UPLOAD_METADATA = text("Upload-Metadata", "Keys, each with a value in base64; `filename` is used")
UPLOAD_CHECKSUM = text("Upload-Checksum", "An algorithm and the base64 of the digest of this body")
