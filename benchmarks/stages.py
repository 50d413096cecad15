"""The CPU time of a child, by stage.

A job's three tasks run in this process, with a stopwatch around the functions of each stage.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from worker_service import kernels
from worker_service.child import tasks, wire
from worker_service.kernels import partials
from worker_service.readers import csv_read, csv_split, literals, parquet
from worker_service.units.chunk import PIECE_BYTES

RUN_BY = ("__main__",)
STAGES: dict[str, list[tuple[Any, str]]] = {
    "read the bytes": [(csv_split, "pread")],
    "tokenize CSV": [(csv_read, "tokenized")],
    "decode Parquet": [(parquet, "read")],
    "check and convert literals": [(literals, "convert")],
    "group the keys": [(partials, "group")],
    "add up the states": [(partials, "partial"), (partials, "combine"), (kernels, "combine")],
    "encode and decode states": [(tasks, "_pieces"), (kernels, "decode")],
    "round, order and digest": [(kernels, "finalize")],
    "write the rows for COPY": [(kernels, "to_copy_csv")],
}


class Stopwatch:
    """CPU seconds by stage; a stage inside another one counts for itself only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: list[str] = ["rest"]
        self._since = time.process_time()

    def _switch(self) -> None:
        now = time.process_time()
        self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._switch()
        self._open.append(name)
        try:
            yield
        finally:
            self._switch()
            self._open.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """*function* on the clock; if it returns an iterator, each step of that too."""

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                found = function(*args, **kwargs)
            return self._steps(name, found) if isinstance(found, Iterator) else found

        return run

    def _steps(self, name: str, steps: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self.stage(name):
                step = next(steps, None)
            if step is None:
                return
            yield step

    def finish(self) -> dict[str, float]:
        self._switch()
        return self.seconds


def seconds_by_stage(spec: dict[str, Any], file: Path) -> dict[str, dict[str, float]]:
    """CPU seconds of the plan, of all chunks and of all merges of a job over one *file*, by stage."""
    reach = {"own_folders": [], "hidden": True}
    place = {"locations": [[f"file://{file}", str(file.parent), file.name]], "max_names": 1, **reach}
    sizes = {
        "max_bytes": [1 << 40, "limits.max_bytes"],
        "chunk_bytes": 32 << 20,
        "max_chunks": 10_000,
        "prove": False,
    }
    planned, plan = _watched([{"task": "plan", "spec": spec, **place, **sizes}])
    schema, files = planned[0][0]["schema"], planned[0][0]["files"]
    chunk = {
        "task": "chunk",
        "spec": spec,
        "schema": schema,
        "batch_bytes": 8 << 20,
        "piece_bytes": PIECE_BYTES,
        **reach,
    }
    chunks = [(no, found["extents"]) for no, found in enumerate(planned[0][0]["chunks"])]
    partial, scan = _watched(
        [chunk | {"no": no, "extents": extents, "files": files * len(extents)} for no, extents in chunks]
    )
    pieces = wire.memory_file("pieces", b"".join(part for _, body in partial for part in body))
    listed = [[piece[3], True] for header, _ in partial for piece in header["pieces"]]
    _, merge = _watched(
        [{"task": "merge", "spec": spec, "schema": schema, "pieces": listed, "first": 0, "end": 1024}], pieces
    )
    os.close(pieces)
    return {"plan": plan, "chunks": scan, "merges": merge}


def _watched(
    requests: list[dict[str, Any]], *descriptors: int
) -> tuple[list[tasks.Answer], dict[str, float]]:
    watch = Stopwatch()
    with ExitStack() as stack:
        for name, functions in STAGES.items():
            for module, function in functions:
                stack.enter_context(
                    patch.object(module, function, watch.timed(name, getattr(module, function)))
                )
        answers = [tasks.answer(request, [*descriptors]) for request in requests]
    problems = [header["problem"] for header, _ in answers if "problem" in header]
    assert not problems, problems
    return answers, watch.finish()


if __name__ == "__main__":
    print(json.dumps(seconds_by_stage(json.loads(sys.argv[1]), Path(sys.argv[2]))))
