"""Many clients of a gateway at once, of one kind: silent, slow, waiting or polling."""

import asyncio
import resource
import time

import aiohttp

from tests.support.stack import Stack

CROWDS = {"idle": 2_000, "half_heads": 2_000, "stalled_uploads": 500, "waiting": 2_000, "polling": 10_000}
POLLERS = 100


class Crowd:
    """Inside its block `gather` brings clients of a kind; they stay until the block ends."""

    def __init__(self, stack: Stack, job_id: str) -> None:
        self._stack, self._job = stack, f"/v1/jobs/{job_id}"
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Crowd":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # asyncio closes the sockets a step later

    async def gather(self, kind: str, number: int) -> None:
        """Return when they are all there; pollers share 100 connections, and begin to poll."""
        if kind == "polling":
            self._tasks = [asyncio.create_task(self._poll(number // POLLERS)) for _ in range(POLLERS)]
            return
        said = {
            "idle": b"",
            "half_heads": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
            "stalled_uploads": b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000,
            "waiting": f"GET {self._job} HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=60\r\n\r\n".encode(),
        }[kind]
        for _ in range(number):
            _, writer = await asyncio.open_connection("127.0.0.1", self._stack.port)
            writer.write(said)
            self._writers.append(writer)

    async def _poll(self, times: int) -> None:
        async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{self._stack.port}") as http:
            for _ in range(times):
                async with http.get(self._job) as response:
                    assert response.status == 200
                    await response.read()

    async def gone(self) -> None:
        """Return when the pollers have polled."""
        await asyncio.gather(*self._tasks)


async def submits(stack: Stack, spec: dict[str, object], times: int) -> list[float]:
    """The seconds that each of some submits took, one after the other, each on a connection of its own."""
    taken = []
    async with aiohttp.ClientSession(
        base_url=f"http://127.0.0.1:{stack.port}", connector=aiohttp.TCPConnector(force_close=True)
    ) as http:
        for _ in range(times):
            started = time.monotonic()
            async with http.post("/v1/jobs", json=spec) as response:
                assert response.status == 202
                await response.read()
            taken.append(time.monotonic() - started)
    return taken
