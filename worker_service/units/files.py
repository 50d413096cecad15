"""Opening a unit's files, and making sure that they are the files that were planned, before and after they are read."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.errors import CutsRefuted, FatalError, LimitExceeded, SchemaWidened, SourceChanged, UsageError
from shared.settings import Settings
from shared.storage.sources import MAX_FILES, Location, locate, open_beneath


def fingerprint(descriptor: int) -> dict[str, int]:
    """Size in bytes and modification time in ns: what has to stay the same between plan and read."""
    status = os.fstat(descriptor)
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}


def find(uris: list[str], settings: Settings, tenant: str) -> list[Location]:
    found = [location for uri in uris for location in locate(uri, settings.sources, tenant, settings.storage / "uploads")]
    if len(found) > MAX_FILES:
        raise LimitExceeded(f"The source has {len(found):,} files; the most is {MAX_FILES:,}")
    return found


def _open_all(locations: list[Location]) -> list[int]:
    descriptors: list[int] = []
    try:
        for location in locations:
            descriptors.append(open_beneath(location))  # noqa: PERF401  # what is open must be known if the next one fails
    except BaseException:
        _close_all(descriptors)
        raise
    return descriptors


def _close_opened(opening: asyncio.Future[list[int]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        _close_all(opening.result())


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@asynccontextmanager
async def opened(locations: list[Location]) -> AsyncIterator[list[int]]:
    opening = asyncio.ensure_future(asyncio.to_thread(_open_all, locations))
    try:
        descriptors = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_opened)  # the thread goes on, and what it opens has to be closed
        raise
    try:
        yield descriptors
    finally:
        _close_all(descriptors)


@asynccontextmanager
async def planned(files: list[dict[str, Any]]) -> AsyncIterator[list[int]]:
    """Lend descriptors of planned files; raises SourceChanged if one is another file, before or after the body ran."""
    async with opened([Location(file["uri"], file["root"], file["below"]) for file in files]) as descriptors:
        check_unchanged(files, descriptors)
        try:
            yield descriptors
        except (FatalError, UsageError, SchemaWidened, CutsRefuted):
            check_unchanged(files, descriptors)  # a file that changed explains whatever was found in it
            raise
        check_unchanged(files, descriptors)


def check_unchanged(files: list[dict[str, Any]], descriptors: list[int]) -> None:
    for file, descriptor in zip(files, descriptors, strict=True):
        now = fingerprint(descriptor)
        if any(now[key] != file[key] for key in now):
            raise SourceChanged(
                f"{file['uri']} changed while the job ran ({file['size']:,} bytes when planned, {now['size']:,} now); submit it again"
            )
