"""Encoding rows as Parquet or Arrow in a few processes, because pyarrow is large and works for long.

A process gets an `Encoding` as a frame of JSON, then blocks of whole lines (`RowStore.values`) as frames. An
empty frame says that these are all. It answers with frames of the file, and an empty one when that is
complete. A process that was asked for several files makes one after the other.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

import msgspec
import structlog

from api_service.services.child_process import FRAME_BYTES, end, gone, start
from api_service.services.limiter import ConcurrencyLimiter
from shared.errors import EncodingFailed, TooManyExports

MEMORY_BYTES = 1024**3
PROCESSES, PROCESSES_PER_TENANT, PERMIT_SECONDS = 4, 3, 3.0
"""Files that are made and sent at once, those of one tenant, and how long the next one waits."""
IDLE_PROCESSES, IDLE_SECONDS = 1, 60.0
"""How many processes wait for the next file, and how long."""
_PIECE_BYTES = 256 * 1024
log = structlog.get_logger()


class Encoding(msgspec.Struct, frozen=True, kw_only=True):
    """A file to make: its columns are (name, type), in the order of the values."""

    format: Literal["parquet", "arrow"]
    columns: list[tuple[str, str]]


class Encoder:
    def __init__(self) -> None:
        self._limiter = ConcurrencyLimiter(
            PROCESSES,
            PROCESSES_PER_TENANT,
            patience=PERMIT_SECONDS,
            refusal=TooManyExports(
                "So many Parquet and Arrow files are being made that there is no room for another; try again"
            ),
        )
        self._idle: dict[asyncio.subprocess.Process, asyncio.TimerHandle] = {}

    async def encode(
        self, tenant: str, encoding: Encoding, rows: AsyncGenerator[bytes]
    ) -> AsyncGenerator[bytes]:
        """The file, piece by piece, while *rows* are read.

        Raises TooManyExports, EncodingFailed if the process ends, and the errors of *rows*. A reader that
        leaves ends the process and closes *rows*.
        """
        async with self._limiter.permit(tenant):
            process, complete = await self._process(), False
            feeding = asyncio.create_task(_feed(process, encoding, rows))
            try:
                async for piece in _pieces(process):
                    yield piece
                await feeding
                complete = True
            except asyncio.IncompleteReadError as error:
                await gone(process)
                if feeding.done():
                    feeding.result()  # an error of the rows is the cause
                raise _failed(encoding, process) from error
            finally:
                if not (complete and self._keep(process)):
                    await end(process)
                    await _ended(feeding)

    async def _process(self) -> asyncio.subprocess.Process:
        while self._idle:
            process, timer = self._idle.popitem()
            timer.cancel()
            if process.returncode is None:
                return process
        return await start("api_service.encoding")

    def _keep(self, process: asyncio.subprocess.Process) -> bool:
        """Let it wait for the next file, if there is room for it."""
        if len(self._idle) >= IDLE_PROCESSES:
            return False
        timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._dismiss, process)
        self._idle[process] = timer
        return True

    def _dismiss(self, process: asyncio.subprocess.Process) -> None:
        del self._idle[process]
        assert process.stdin is not None
        process.stdin.close()

    async def close(self) -> None:
        while self._idle:
            process, timer = self._idle.popitem()
            timer.cancel()
            await end(process)


async def _feed(process: asyncio.subprocess.Process, encoding: Encoding, rows: AsyncGenerator[bytes]) -> None:
    """Send everything; a process that is gone is left to the reader of its answers."""
    try:
        async with aclosing(rows):
            sent = await _send(process, msgspec.json.encode(encoding))
            while sent and (block := await anext(rows, None)) is not None:
                sent = await _send(process, block)
        if sent:
            await _send(process, b"")
    except BaseException:
        if process.returncode is None:
            process.kill()  # which ends the answers, so that their reader sees this error
        raise


async def _send(process: asyncio.subprocess.Process, content: bytes) -> bool:
    """Whether the process is still there."""
    assert process.stdin is not None
    try:
        process.stdin.write(len(content).to_bytes(FRAME_BYTES, "little"))
        process.stdin.write(content)
        await process.stdin.drain()
    except ConnectionError:
        return False
    return True


async def _pieces(process: asyncio.subprocess.Process) -> AsyncGenerator[bytes]:
    """The file up to the empty frame; raises IncompleteReadError if the answers end before it."""
    assert process.stdout is not None
    while size := int.from_bytes(await process.stdout.readexactly(FRAME_BYTES), "little"):
        while size:
            piece = await process.stdout.read(min(size, _PIECE_BYTES))
            if not piece:
                raise asyncio.IncompleteReadError(b"", size)
            yield piece
            size -= len(piece)


async def _ended(feeding: "asyncio.Task[None]") -> None:
    feeding.cancel()
    await asyncio.wait([feeding])
    if not feeding.cancelled():
        feeding.exception()  # which the caller has raised, or which came too late to matter


def _failed(encoding: Encoding, process: asyncio.subprocess.Process) -> EncodingFailed:
    status = process.returncode or 0
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    log.error("encoder.ended", format=encoding.format, columns=len(encoding.columns), error=how)
    return EncodingFailed(
        f"The process that makes the {encoding.format} file {how}; the gateway's log may say why. Send the "
        "request again, select fewer columns, or take the rows as format=csv"
    )
