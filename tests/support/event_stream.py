"""A reader of text/event-stream, written from the standard."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass
class Event:
    name: str
    id: str
    data: Any


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """Every event, parsed as a browser does; comments and `retry` are left out."""
    fields: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"]))
            fields = {}


async def until(response: aiohttp.ClientResponse, name: str) -> list[Event]:
    """The events up to the first one of that name."""
    found = []
    async for event in events(response):
        found.append(event)
        if event.name == name:
            return found
    raise AssertionError(f"the stream ended without {name}: {[each.name for each in found]}")
