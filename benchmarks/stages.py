"""CPU seconds of a child by stage: a job's tasks run in this process, with a stopwatch around each stage.

A function of the native library is a stage; the stage that calls it counts for the rest of itself.
"""

import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from shared.storage.sources import Location
from worker_service import kernels
from worker_service.child import tasks
from worker_service.executors.processes.channel import MemoryFile
from worker_service.kernels.engine import combine, frames, partial, resident
from worker_service.messages import (
    Access,
    AnyTask,
    AttachedPartial,
    ByteLimit,
    ChunkTask,
    Failed,
    MergeTask,
    PlanTask,
)
from worker_service.native.library import library
from worker_service.readers import literals
from worker_service.readers.csv import file as csv_file
from worker_service.readers.csv import sift as csv_sift
from worker_service.readers.csv.native import batches as csv_native
from worker_service.readers.parquet import read as parquet_read
from worker_service.units.chunk import PARTIAL_BYTES

RUN_BY = ("__main__",)
STAGES: dict[str, list[tuple[Any, str]]] = {
    "read the bytes": [(csv_file, "pread")],
    "tokenize CSV": [(csv_sift, "tokenize")],
    "CSV to columns, natively": [(csv_native, "_batch")],
    "decode Parquet": [(parquet_read, "open_file"), (parquet_read, "decode"), (parquet_read, "typed")],
    "check and convert literals": [(literals, "converted")],
    "derive, pick and cut rows": [(kernels, "prepare")],
    "group the keys": [(partial, "group"), (combine, "group"), (resident.ResidentStates, "codes")],
    "add up the states": [
        (frames, "partial"),
        (resident.ResidentStates, "add"),
        (resident.ResidentStates, "combined"),
        (combine, "combine"),
        (kernels, "combine"),
    ],
    "encode and decode states": [(tasks, "_encoded"), (kernels, "decode")],
    "round, order and digest": [(kernels, "finalize")],
    "write the rows for COPY": [(kernels, "to_copy_binary"), (kernels, "to_copy_csv")],
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
    return job_by_stage(spec, file, as_csv=False)[0]


def job_by_stage(
    spec: dict[str, Any], file: Path, *, as_csv: bool = True
) -> tuple[dict[str, dict[str, float]], bytes]:
    """The same, and the rows of the result for COPY."""
    text, access = (
        msgspec.Raw(msgspec.json.encode(spec)),
        Access(own_folders=(), hidden=True, max_expansion=1000),
    )
    task = PlanTask(
        spec=text,
        locations=(Location(f"file://{file}", str(file.parent), file.name),),
        access=access,
        max_names=1,
        max_bytes=ByteLimit(1 << 40, "limits.max_bytes"),
        chunk_bytes=None,
        max_chunks=10_000,
        prove=False,
    )
    [(planned, _)], plan = _watched([task])
    files, schema = planned.plan.files, planned.plan.schema
    chunks = [
        ChunkTask(
            spec=text,
            no=no,
            schema=schema,
            delimiter=planned.plan.delimiter,
            files=files * len(cut.payload.extents),
            extents=cut.payload.extents,
            access=access,
            batch_bytes=8 << 20,
            partial_bytes=PARTIAL_BYTES,
        )
        for no, cut in enumerate(planned.chunks())
    ]
    scanned, scan = _watched(chunks)
    states = [data for outcome, body in scanned for data in body[: len(outcome.partials)]]
    attachment = MemoryFile.create("attachment", b"".join(states))
    partials = tuple(AttachedPartial(len(data), inside=True) for data in states)
    merge_task = MergeTask(spec=text, schema=schema, partials=partials, first=0, end=1024, as_csv=as_csv)
    [(_, rows)], merge = _watched([merge_task], attachment)
    attachment.close()
    return {"plan": plan, "chunks": scan, "merges": merge}, b"".join(rows)


def _watched(
    asked: Sequence[AnyTask], attachment: MemoryFile | None = None
) -> tuple[list[tuple[Any, list[bytes]]], dict[str, float]]:
    watch = Stopwatch()
    with ExitStack() as stack:
        for name, owner, function in [*_python_stages(), *_native_stages()]:
            stack.enter_context(patch.object(owner, function, watch.timed(name, getattr(owner, function))))
        answers = [tasks.run(task, attachment) for task in asked]
    problems = [outcome.problem for outcome, _ in answers if isinstance(outcome, Failed)]
    assert not problems, problems
    return answers, watch.finish()


def _python_stages() -> Iterator[tuple[str, Any, str]]:
    return ((name, *each) for name, functions in STAGES.items() for each in functions)


def _native_stages() -> Iterator[tuple[str, Any, str]]:
    """Each function of the native library is a stage of its own."""
    native = library()
    names = [name for name in vars(native) if name.startswith("gm_")] if native else []
    return ((f"`{name}`", native, name) for name in names)


if __name__ == "__main__":
    print(json.dumps(seconds_by_stage(json.loads(sys.argv[1]), Path(sys.argv[2]))))
