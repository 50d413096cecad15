"""Processes that work for the gateway over a pipe: they know no URLs and no passwords.

A frame is an 8-byte little-endian length and so many bytes.
"""

import asyncio
import os
import sys
from contextlib import suppress
from typing import BinaryIO

FRAME_BYTES = 8
GONE_SECONDS = 2.0
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
"""All that such a process may know."""


async def start(module: str) -> asyncio.subprocess.Process:
    """`python -m` *module*, with pipes as its standard input and output; it ends when its input does."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    if process.stdout is not None:
        await process.stdout.read()  # a pipe is closed only once all in it is read
    await process.wait()


async def gone(process: asyncio.subprocess.Process) -> None:
    """End a process whose output has ended. Killed at once, it would not tell its own exit status."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GONE_SECONDS):
            await process.wait()
    await end(process)


def frame(content: bytes) -> bytes:
    return len(content).to_bytes(FRAME_BYTES, "little") + content


def read_frame(source: BinaryIO) -> bytes | None:
    """None at the end of *source*."""
    size = source.read(FRAME_BYTES)
    return source.read(int.from_bytes(size, "little")) if len(size) == FRAME_BYTES else None
