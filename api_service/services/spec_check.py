"""Checking specs: small ones at once, large ones in a process of their own, for a bounded time.

The process gets two frames, the `Rules` as JSON and the body as it came, and answers with one frame of JSON,
`Checked` or `Failed`.
"""

import asyncio
import re
from datetime import timedelta

import msgspec
import structlog

from api_service.services.child_process import FRAME_BYTES, end, frame, start
from api_service.services.limiter import ConcurrencyLimiter
from shared.core.look import JobKind
from shared.errors import GristmillError, Problem, SpecCheckBusy, from_problem
from shared.settings import Settings
from shared.spec.admission import Ceilings, check_admission
from shared.spec.digests import canonical_json, earlier_digests, spec_digest
from shared.spec.parse import parse_spec
from shared.spec.partial import with_filler
from shared.spec.uris import UPLOAD, split_member
from shared.spec.values import parse_duration
from shared.storage.sources import SourceRules, locate, source_rules

AT_ONCE_BYTES = 64 * 1024
"""A body of so many bytes takes some milliseconds to check."""
EXPRESSIONS_AT_ONCE_BYTES = 12 * 1024
"""The same for a body that may have expressions, which cost more for each byte."""
_MAY_HAVE_EXPRESSIONS = re.compile(rb'"(?:expr|where|having)"|\\u')
"""A key, or an escape by which a key could be written."""
PROCESSES, PROCESSES_PER_TENANT = 2, 1
PERMIT_SECONDS, CHECK_SECONDS = 5.0, 20.0
"""How long a large spec waits for a process, and how long the process may take, its start included."""
log = structlog.get_logger()


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of this server and of the tenant that a valid spec has to obey, too.

    A *partial* spec, for a dry run, may lack `group_by` and `aggregates`.
    """

    tenant: str
    sources: SourceRules
    ceilings: Ceilings
    partial: bool = False


class Checked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A valid spec as canonical JSON, with the values that submitting needs.

    `earlier_digests` are those that versions before this one gave the same body. `uploads` are the ids of
    uploads among `source.uris`, by index. *refusal* is why this server takes no new job of the spec, or None.
    A known job is found by the digest all the same. *kind* is `look` if a partial spec has no aggregates.
    """

    canonical: str
    digest: str
    earlier_digests: tuple[str, ...]
    uploads: dict[int, str]
    priority: int
    labels: dict[str, str]
    result_name: str | None
    kept_versions: int
    deadline: timedelta | None
    expires: timedelta | None
    max_parallel: int | None
    refusal: Problem | None
    kind: JobKind = "job"


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The spec is not valid; with a *traceback*, its check met a bug."""

    error: Problem
    traceback: str | None = None


def check(body: bytes, rules: Rules) -> Checked:
    """Raises MalformedJson, InvalidSpec or NotSupported. Takes time in proportion to the body."""
    kind: JobKind = "plan" if rules.partial else "job"
    if rules.partial and (completed := with_filler(body)) is not None:
        body, kind = completed, "look"
    spec = parse_spec(body)
    uploads = {no: uri for no, uri in enumerate(spec.source.uris) if uri.startswith(UPLOAD)}
    refusal = None
    try:
        check_admission(spec, rules.ceilings)
        for no, uri in enumerate(spec.source.uris):
            if no not in uploads:
                locate(uri, f"#/source/uris/{no}", rules.sources, rules.tenant)
    except GristmillError as error:
        refusal = error.problem()
    canonical = canonical_json(spec)
    return Checked(
        canonical=canonical,
        digest=spec_digest(canonical),
        earlier_digests=earlier_digests(canonical),
        uploads={no: split_member(uri)[0].removeprefix(UPLOAD) for no, uri in uploads.items()},
        priority=spec.options.priority,
        labels=spec.labels,
        result_name=spec.output.name,
        kept_versions=spec.output.versions,
        deadline=parse_duration(spec.options.deadline) if spec.options.deadline else None,
        expires=parse_duration(spec.output.expires) if spec.output.expires else None,
        max_parallel=spec.options.max_parallel_chunks,
        refusal=refusal,
        kind=kind,
    )


def is_small(body: bytes) -> bool:
    """Whether the check takes some milliseconds."""
    dear = _MAY_HAVE_EXPRESSIONS.search(body)
    return len(body) <= (EXPRESSIONS_AT_ONCE_BYTES if dear else AT_ONCE_BYTES)


class SpecChecker:
    def __init__(self, settings: Settings) -> None:
        self._sources = source_rules(settings)
        self._ceilings = Ceilings(**{name: getattr(settings, name) for name in Ceilings.__slots__})
        self._limiter = ConcurrencyLimiter(
            PROCESSES,
            PROCESSES_PER_TENANT,
            patience=PERMIT_SECONDS,
            refusal=SpecCheckBusy(
                "Other large specs are being checked; send this one again, or make it smaller than 64 kB"
            ),
        )
        self._idle: list[asyncio.subprocess.Process] = []

    async def check(self, tenant: str, body: bytes, *, partial: bool = False) -> Checked:
        """Raises the errors of `check`, and SpecCheckBusy."""
        rules = Rules(tenant=tenant, sources=self._sources, ceilings=self._ceilings, partial=partial)
        if is_small(body):
            return check(body, rules)
        async with self._limiter.permit(tenant):
            return unwrapped(await self._check_in_process(rules, body))

    async def _check_in_process(self, rules: Rules, body: bytes) -> Checked | Failed:
        process = None
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                process = await self._process()
                answer = await _ask(process, rules, body)
        except BaseException as error:
            if process is not None:
                await end(process)
            if isinstance(error, TimeoutError | asyncio.IncompleteReadError | OSError):
                log.warning("spec_check.ended", bytes=len(body), error=str(error) or type(error).__name__)
                raise SpecCheckBusy(
                    f"The check of this spec of {len(body):,} bytes was cut off; "
                    f"it may take {CHECK_SECONDS:g} s: send it again, or make it smaller"
                ) from error
            raise
        self._idle.append(process)
        return answer

    async def _process(self) -> asyncio.subprocess.Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        return await start("api_service.services.spec_check_process")

    async def close(self) -> None:
        while self._idle:
            await end(self._idle.pop())


async def _ask(process: asyncio.subprocess.Process, rules: Rules, body: bytes) -> Checked | Failed:
    assert process.stdin is not None
    assert process.stdout is not None
    for content in (msgspec.json.encode(rules), body):
        process.stdin.write(frame(content))
    await process.stdin.drain()
    size = int.from_bytes(await process.stdout.readexactly(FRAME_BYTES), "little")
    return msgspec.json.decode(await process.stdout.readexactly(size), type=Checked | Failed)


def unwrapped(answer: Checked | Failed) -> Checked:
    """Raise the error of a spec that failed; a bug's stack trace goes to the gateway's log."""
    if isinstance(answer, Checked):
        return answer
    if answer.traceback is not None:
        log.error("spec_check.bug", traceback=answer.traceback)
    raise from_problem(answer.error)
