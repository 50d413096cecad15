"""The closed loop: a fixed number of jobs in flight, of all cases and all ways, until told to stop.

It runs in a thread with an event loop of its own.
"""

import asyncio
import threading
import time
import traceback
from pathlib import Path
from random import Random

from tests.soak.cases import Case, cases, differences
from tests.soak.client import Client
from tests.soak.life import Life, Living

SHARES = {"plain": 52, "twice": 10, "cancelled": 8, "retried": 10, "paused": 12, "deleted": 8}
KEPT_SECONDS = 20.0
"""A job that ended well is dated back after this time, so the pruner has work and tables stay level."""


class Load(threading.Thread):
    def __init__(
        self,
        urls: list[str],
        known: list[Case],
        *,
        seed: int,
        in_flight: int,
        patience: float,
        shares: dict[str, int] = SHARES,
    ) -> None:
        super().__init__(name="load", daemon=True)
        self._shares = shares
        self._urls, self._cases, self._seed, self._in_flight, self._patience = (
            urls,
            known,
            seed,
            in_flight,
            patience,
        )
        self._stopping = threading.Event()
        self._numbers = iter(range(10**9))
        self.lives: list[Life] = []
        self.spent: list[Life] = []
        """Jobs that ended a while ago."""
        self.met: dict[str, int] = {}
        self.odd: list[str] = []
        self.bugs: list[str] = []

    def run(self) -> None:
        asyncio.run(self._run())

    def stop(self) -> None:
        """Begin no more jobs; the thread ends when every job has."""
        self._stopping.set()

    async def _run(self) -> None:
        client = Client(self._urls, Random(f"{self._seed} client"), self._patience)
        try:
            await asyncio.gather(*(self._one_after_the_other(client) for _ in range(self._in_flight)))
        finally:
            self.met, self.odd = dict(client.met), client.odd
            await client.close()

    async def _one_after_the_other(self, client: Client) -> None:
        ended: list[Life] = []
        while not self._stopping.is_set():
            number = next(self._numbers)
            chance = Random(f"{self._seed} job {number}")
            case = chance.choices(self._cases, [case.weight for case in self._cases])[0]
            way = "plain" if case.code else chance.choices(list(self._shares), list(self._shares.values()))[0]
            life = Life(case, way, f"soak-{self._seed}-{number}")
            self.lives.append(life)
            living = Living(client, chance)
            try:
                ended.append(await living.live(life))
                while ended and ended[0].ended < time.time() - KEPT_SECONDS:
                    self.spent.append(ended.pop(0))
            except Exception:  # noqa: BLE001  # the report says so, and the other jobs go on
                self.bugs.append(traceback.format_exc())


def prepared(urls: list[str], folder: Path, patience: float) -> list[Case]:
    """The cases, each with the answer of a run without faults, which DuckDB has confirmed."""
    return asyncio.run(_prepared(urls, folder, patience))


async def _prepared(urls: list[str], folder: Path, patience: float) -> list[Case]:
    client = Client(urls, Random(0), patience)
    try:
        known = await cases(folder, lambda path: _upload(client, path))
        for case in known:
            await _learn(client, case)
        return known
    finally:
        await client.close()


async def _upload(client: Client, path: Path) -> str:
    _, body, _ = await client.ask(
        "POST", "/v1/uploads", params={"filename": path.name}, data=path.read_bytes()
    )
    uri: str = body["uri"]
    return uri


async def _learn(client: Client, case: Case) -> None:
    living = Living(client, Random(0))
    life = Life(case, "clean", f"clean {case.name}".replace(" ", "-").replace(",", ""))
    await living.submit(life)
    job = await living.ended(life)
    if case.code is not None:
        assert (job["error"] or {}).get("code") == case.code, job
        return
    assert job["state"] == "succeeded", job
    _, page, _ = await client.ask("GET", f"/v1/jobs/{life.job_id}/rows", params={"limit": 10_000})
    _, receipt, _ = await client.ask("GET", f"/v1/jobs/{life.job_id}/receipt")
    case.digest, case.rows, case.receipt = job["result"]["digest"], page["items"], life.steady(receipt)
    case.read = job["progress"]["rows"]["read"]
    assert not (wrong := differences(case.rows, case.sql)), f"{case.name}: {wrong[:3]}"
