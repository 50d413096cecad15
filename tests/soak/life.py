"""One job's life as its user sees it: the requests on the way, and the checks at its end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.soak.cases import Case
from tests.soak.client import Client, GaveUp

STEADY = ("spec_digest", "files", "bytes", "chunks", "rows", "groups")
"""The fields of a receipt that are the same for every run: no names, times or counts of attempts."""
PERIOD = 0.5


@dataclass
class Life:
    """The course of one job; *wrong* lists the violations, as (kind, text)."""

    case: Case
    way: str
    key: str
    job_id: str = ""
    begun: float = 0.0
    ended: float = 0.0
    state: str = ""
    version: int | None = None
    revision: int = 0
    """Revision of the newest document seen: another gateway may still have an older one."""
    aged: bool = False
    """Whether it was made to look so old that it may be pruned."""
    deleted: bool = False
    wrong: list[tuple[str, str]] = field(default_factory=list)

    @property
    def named(self) -> bool:
        """Whether its rows have a name of their own, which is deleted before it."""
        return self.way == "deleted"

    @property
    def spec(self) -> dict[str, Any]:
        own = {"output": {"name": self.key.replace("-", "_")}} if self.named else {}
        return self.case.spec | own

    def steady(self, receipt: dict[str, Any]) -> dict[str, Any]:
        """The fields of a receipt that are the same for every run; with a name the spec is another one."""
        return {name: receipt.get(name) for name in STEADY if not (self.named and name == "spec_digest")}

    def blame(self, kind: str, words: str) -> None:
        self.wrong.append((kind, f"{self.job_id or self.key} ({self.case.name}, {self.way}): {words}"))


class Living:
    """Lives jobs through one client."""

    def __init__(self, client: Client, chance: Random) -> None:
        self._client = client
        self._chance = chance

    async def live(self, life: Life) -> Life:
        life.begun = time.time()
        try:
            await self.submit(life)
            await WAYS[life.way](self, life)
        except GaveUp as error:
            life.blame("lost", str(error))
        life.ended = life.ended or time.time()
        return life

    async def _post(self, life: Life, action: str) -> tuple[int, dict[str, Any], int]:
        status, body, tries = await self._client.ask("POST", f"/v1/jobs/{life.job_id}/{action}")
        life.revision = max(life.revision, body.get("revision", 0))
        return status, body, tries

    async def submit(self, life: Life) -> None:
        headers = {"Idempotency-Key": life.key}
        status, job, _ = await self._client.ask("POST", "/v1/jobs", json=life.spec, headers=headers)
        if status not in {200, 202}:
            life.blame("state", f"the submit was answered with {status}: {job}")
            raise GaveUp("not submitted")
        life.job_id = job["id"]

    async def ended(self, life: Life) -> dict[str, Any]:
        """The job document once it is done."""
        end = time.monotonic() + self._client.patience
        while True:
            status, job, _ = await self._client.ask(
                "GET", f"/v1/jobs/{life.job_id}", headers={"Prefer": "wait=5"}
            )
            if status != 200:
                life.blame("lost", f"{status} for a job that was accepted: {job}")
                raise GaveUp("not found")
            if job["done"] and job["revision"] >= life.revision:
                life.ended, life.state, life.revision = time.time(), job["state"], job["revision"]
                return job
            if time.monotonic() > end:
                raise GaveUp(f"still {job['state']}, {job['phase']}: {job['progress']['chunks']}")
            if job["done"]:
                await asyncio.sleep(0.1)

    async def succeed(self, life: Life) -> None:
        """Wait for its end, which must be the right one."""
        job = await self.ended(life)
        if life.case.code is not None:
            if (job["state"], (job["error"] or {}).get("code")) != ("failed", life.case.code):
                life.blame(
                    "state", f"should have failed with {life.case.code}: {job['state']} {job['error']}"
                )
        elif job["state"] != "succeeded":
            life.blame("state", f"{job['state']}: {job['error']}")
        else:
            await self._check_answer(life, job)

    async def _check_answer(self, life: Life, job: dict[str, Any]) -> None:
        case, result = life.case, job["result"]
        life.version = result["version"]
        if result["digest"] != case.digest:
            life.blame("wrong", f"digest {result['digest']}, not {case.digest}")
        if job["progress"]["rows"]["read"] != case.read:
            life.blame("twice", f"{job['progress']['rows']['read']} rows read, not {case.read}")
        status, page, _ = await self._client.ask(
            "GET", f"/v1/jobs/{life.job_id}/rows", params={"limit": 10_000}
        )
        if status != 200 or sorted(map(repr, page["items"])) != sorted(map(repr, case.rows)):
            life.blame("wrong", f"other rows than without faults: {status}")
        status, receipt, _ = await self._client.ask("GET", f"/v1/jobs/{life.job_id}/receipt")
        if status != 200 or life.steady(receipt) != life.steady(case.receipt):
            life.blame("twice", f"another receipt than without faults: {status} {receipt}")

    async def plain(self, life: Life) -> None:
        await self.succeed(life)

    async def twice(self, life: Life) -> None:
        """Send the same key again, at once and to any gateway: the same job."""
        first = life.job_id
        await self.submit(life)
        if life.job_id != first:
            life.blame("twice", f"the key gave {first} before")
        await self.succeed(life)

    async def cancelled(self, life: Life) -> None:
        if await self._cancel(life):
            status, body, _ = await self._client.ask("GET", f"/v1/jobs/{life.job_id}/rows")
            if status != 409:
                life.blame("state", f"rows of a cancelled job: {status} {body}")

    async def retried(self, life: Life) -> None:
        """Cancel it, then retry it."""
        if await self._cancel(life):
            status, body, tries = await self._post(life, "retry")
            if status != 202 and not (status == 409 and tries > 1):
                life.blame("state", f"the retry was answered with {status}: {body}")
            await self.succeed(life)

    async def _cancel(self, life: Life) -> bool:
        """Cancel it after a moment; False if it ended before that."""
        await asyncio.sleep(self._chance.uniform(0, 3 * PERIOD))
        status, body, tries = await self._post(life, "cancel")
        if status == 409 and body["code"] == "already_done":
            await self.succeed(life)
            return False
        if status != 202:
            life.blame("state", f"the cancel was answered with {status}: {body}")
        job = await self.ended(life)
        if job["state"] != "cancelled":
            life.blame("state", f"cancelled after {tries} tries, and then {job['state']}: {job['error']}")
        return job["state"] == "cancelled"

    async def paused(self, life: Life) -> None:
        await asyncio.sleep(self._chance.uniform(0, PERIOD))
        status, body, _ = await self._post(life, "pause")
        if status == 202:
            await asyncio.sleep(self._chance.uniform(0, PERIOD))
            status, body, tries = await self._post(life, "resume")
            if status != 202 and not (status == 409 and tries > 1):
                life.blame("state", f"the resume was answered with {status}: {body}")
        elif status != 409:
            life.blame("state", f"the pause was answered with {status}: {body}")
        await self.succeed(life)

    async def deleted(self, life: Life) -> None:
        """Delete its result, and then the job. While its rows have a name, it stays."""
        await self.succeed(life)
        if life.state != "succeeded":
            return
        job, name = f"/v1/jobs/{life.job_id}", life.spec["output"]["name"]
        life.deleted = True
        steps = (
            ("DELETE", job, {409}),
            ("DELETE", f"/v1/results/{name}", {204}),
            ("GET", f"{job}/rows", {410}),
            ("DELETE", job, {204}),
            ("GET", job, {404}),
        )
        for method, path, expected in steps:
            status, body, tries = await self._client.ask(method, path)
            if status not in expected and not (method == "DELETE" and tries > 1 and status == 404):
                life.blame("state", f"{method} {path} was answered with {status}: {body}")


Way = Callable[[Living, Life], Awaitable[None]]
WAYS: dict[str, Way] = {
    "plain": Living.plain,
    "twice": Living.twice,
    "cancelled": Living.cancelled,
    "retried": Living.retried,
    "paused": Living.paused,
    "deleted": Living.deleted,
}
