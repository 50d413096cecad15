"""A client of the gateway in containers, and the rows that it sends."""

import json
import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2

from tests.compose.engine import Compose, eventually

ROWS, GROUPS = 1_000_000, 500
CHUNK_BYTES = 64 * 1024
JOBS = 20
Answer = dict[str, tuple[int, int, Decimal]]
"""Count, sum of v (beyond 2^53) and sum of money by key."""


def write_numbers(path: Path) -> Answer:
    """Write a CSV of made-up rows.

    Returns count, sum of v (beyond 2^53) and sum of money by key, by Python's own arithmetic.
    """
    made, counts, sums, cents = random.Random(7), defaultdict(int), defaultdict(int), defaultdict(int)
    with path.open("w") as file:
        file.write("k,v,money\n")
        for _ in range(ROWS):
            key, v, money = (
                f"id{made.randrange(GROUPS):03d}",
                made.randrange(-(2**40), 2**52),
                made.randrange(10_000_000),
            )
            file.write(f"{key},{v},{money // 100}.{money % 100:02d}\n")
            counts[key] += 1
            sums[key] += v
            cents[key] += money
    return {key: (counts[key], sums[key], Decimal(cents[key]).scaleb(-2)) for key in counts}


class Client:
    """The gateway over HTTP; patient while a server behind it is restarted."""

    def __init__(self, compose: Compose, key: str = "") -> None:
        self._http = httpx2.Client(
            base_url=f"http://127.0.0.1:{compose.port}",
            headers={"Authorization": f"Bearer {key or compose.key}"},
            timeout=60,
            trust_env=False,
        )

    def get(self, path: str) -> Any:
        def answer() -> httpx2.Response | None:
            try:
                response = self._http.get(path)
            except httpx2.TransportError:
                return None
            return None if response.status_code == 503 else response

        response = eventually(answer, f"an answer to GET {path}")
        assert response.status_code == 200, response.text
        return json.loads(response.text, parse_float=Decimal)

    def upload(self, path: Path) -> str:
        with path.open("rb") as file:
            response = self._http.post("/v1/uploads", params={"filename": path.name}, content=file)
        assert response.status_code == 201, response.text
        return response.json()["uri"]

    def submit(self, uri: str) -> str:
        """A job of hundreds of chunks. None joins a fold, so that its progress is seen early."""
        sums = [
            {"fn": "count"},
            {"fn": "sum", "column": "v", "as": "v"},
            {"fn": "sum", "column": "money", "as": "money"},
        ]
        source = {"uris": [uri], "format": "csv", "types": {"money": "decimal(12,2)"}}
        spec = {
            "source": source,
            "group_by": ["k"],
            "aggregates": sums,
            "options": {"chunk_bytes": CHUNK_BYTES, "max_parallel_chunks": 100},
        }
        response = self._http.post("/v1/jobs", json=spec)
        assert response.status_code == 202, response.text
        return response.json()["id"]

    def job(self, job_id: str) -> Any:
        return self.get(f"/v1/jobs/{job_id}")

    def done_chunks(self, jobs: list[str]) -> int:
        return sum(self.job(job)["progress"]["chunks"]["done"] for job in jobs)

    def several(self, uri: str) -> list[str]:
        """JOBS of them, once some chunks are done: so many that some outlast what follows."""
        jobs = [self.submit(uri) for _ in range(JOBS)]
        eventually(lambda: self.done_chunks(jobs) >= 20, "progress")
        return jobs

    def under_way(self, job_id: str) -> str:
        """Wait until some chunks are done; the job must not be."""
        eventually(lambda: self.job(job_id)["progress"]["chunks"]["done"] >= 20, "progress")
        return self.unfinished(job_id)

    def unfinished(self, job_id: str) -> str:
        assert not self.job(job_id)["done"], "the job was done too soon to be disturbed"
        return job_id

    def answer(self, job_id: str) -> Answer:
        eventually(lambda: self.job(job_id)["done"], f"the end of {job_id}")
        job = self.job(job_id)
        assert job["state"] == "succeeded", job["error"]
        assert job["progress"]["rows"]["read"] == ROWS
        items = self.get(f"/v1/jobs/{job_id}/rows?limit=10000")["items"]
        return {row["k"]: (row["count"], row["v"], Decimal(row["money"])) for row in items}
