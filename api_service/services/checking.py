"""Checking specs: small ones at once, large ones in a process of their own, for a bounded time."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import structlog

from api_service.services.turns import Turns
from shared.errors import GristmillError, SpecCheckBusy, from_problem
from shared.settings import Settings
from shared.spec.admission import Ceilings, check_admission
from shared.spec.digests import canonical_json, spec_digest
from shared.spec.parse import parse_spec
from shared.storage.sources import UPLOAD, SourceRules, locate, source_rules

AT_ONCE_BYTES = 64 * 1024
"""A body of so many bytes takes some milliseconds to check."""
PROCESSES, PROCESSES_A_TENANT = 2, 1
TURN_SECONDS, CHECK_SECONDS = 5.0, 20.0
"""How long a large spec waits for a process, and how long the process may take, its start included."""
FRAME_BYTES = 8
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
"""All that the process may know: no URLs, no passwords."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Checked:
    """A valid spec in its one spelling.

    *refusal* is why this server takes no new job of it, if it does not.
    """

    canonical: str
    digest: str
    refusal: GristmillError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a spec is checked against, beside being valid."""

    tenant: str
    sources: SourceRules
    ceilings: Ceilings


def check(body: bytes, rules: Rules) -> Checked:
    """Raises MalformedJson, InvalidSpec or NotSupported. Takes time in proportion to the body."""
    spec = parse_spec(body)
    refusal = None
    try:
        check_admission(spec, rules.ceilings)
        for no, uri in enumerate(spec.source.uris):
            if not uri.startswith(UPLOAD):
                locate(uri, f"#/source/uris/{no}", rules.sources, rules.tenant)
    except GristmillError as error:
        refusal = error
    return Checked(canonical_json(spec), spec_digest(spec), refusal)


class SpecChecker:
    def __init__(self, settings: Settings) -> None:
        self._sources = source_rules(settings)
        self._ceilings = Ceilings(**{name: getattr(settings, name) for name in Ceilings.__slots__})
        self._turns = Turns(
            PROCESSES,
            PROCESSES_A_TENANT,
            patience=TURN_SECONDS,
            refusal=SpecCheckBusy(
                "Other large specs are being checked; send this one again, or make it smaller than 64 kB"
            ),
        )
        self._idle: list[asyncio.subprocess.Process] = []

    async def check(self, tenant: str, body: bytes) -> Checked:
        """Raises what `check` raises, and SpecCheckBusy."""
        rules = Rules(tenant=tenant, sources=self._sources, ceilings=self._ceilings)
        if len(body) <= AT_ONCE_BYTES:
            return check(body, rules)
        async with self._turns.turn(tenant):
            return _told(await self._asked(msgspec.json.encode(asdict(rules)), body))

    async def _asked(self, *frames: bytes) -> dict[str, Any]:
        process = None
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                process = await self._process()
                answer = await _answer(process, frames)
        except BaseException as error:
            if process is not None:
                await _end(process)
            if isinstance(error, TimeoutError | asyncio.IncompleteReadError | OSError):
                log.warning(
                    "spec_check.ended", bytes=len(frames[-1]), error=str(error) or type(error).__name__
                )
                raise SpecCheckBusy(
                    f"The check of this spec of {len(frames[-1]):,} bytes was cut off; it may take {CHECK_SECONDS:g} s: "
                    "send it again, or make it smaller"
                ) from error
            raise
        self._idle.append(process)
        return answer

    async def _process(self) -> asyncio.subprocess.Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "api_service.checker",
            env=kept,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def close(self) -> None:
        while self._idle:
            await _end(self._idle.pop())


async def _answer(process: asyncio.subprocess.Process, frames: Sequence[bytes]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    for frame in frames:
        process.stdin.write(len(frame).to_bytes(FRAME_BYTES, "little") + frame)
    await process.stdin.drain()
    size = int.from_bytes(await process.stdout.readexactly(FRAME_BYTES), "little")
    answer: dict[str, Any] = msgspec.json.decode(await process.stdout.readexactly(size))
    return answer


def _told(answer: dict[str, Any]) -> Checked:
    if answer["error"] is not None:
        if "traceback" in answer:
            log.error("spec_check.bug", traceback=answer["traceback"])
        raise from_problem(answer["error"])
    refusal = answer["refusal"]
    return Checked(answer["canonical"], answer["digest"], refusal and from_problem(refusal))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
