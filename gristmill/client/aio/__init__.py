"""The client for asyncio."""

from gristmill.client.aio.client import AsyncClient as AsyncClient
