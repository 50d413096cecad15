"""A bare aiohttp server: one handler, no middleware, the same bytes at each request."""

import sys
from pathlib import Path

from aiohttp import web

RUN_BY = ("live",)


def serve(port: int, body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/", answer)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes())
