"""JSON out: integers with all their digits, decimals as strings, NaN and infinities as null, times in ISO 8601."""

from typing import Any

import msgspec
from aiohttp import web


def json_response(document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(document), status=status, headers=headers, content_type="application/json"
    )
