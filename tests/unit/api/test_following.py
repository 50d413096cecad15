"""A stream whose connection is about to end."""

import asyncio
from types import SimpleNamespace

from api_service.handlers import following
from api_service.services.watching import Feed


class Closing:
    """A transport that was told to close; its connection is lost with the loop's next turn."""

    def is_closing(self):
        return True

    def get_write_buffer_size(self):
        return 0

    def set_write_buffer_limits(self, high):
        pass

    def get_extra_info(self, _):
        return SimpleNamespace(setsockopt=lambda *_: None)


async def done():
    """As aiohttp's `drain` and `write`, which give no other task a turn while there is room."""


async def test_a_stream_ends_with_its_connection_and_never_holds_up_the_loop():
    request = SimpleNamespace(transport=Closing(), writer=SimpleNamespace(drain=done))
    response = SimpleNamespace(chunked=True, write=lambda _: done())
    feed = Feed(SimpleNamespace(job=SimpleNamespace(done=False)))
    async with asyncio.timeout(5):
        await following._send(request, response, feed, lambda *_: b"news")
