"""`python -m tests.support.mutations SEED KIND COUNT KIND COUNT …`: damaged files, planned and read by forks.

The files are small and valid at first, and damaged at random.

Prints how often each outcome was met with each kind, as JSON: `ok`, an error's code, `mismatch` (the counts
of a receipt differ), `signal N`, or `hang`.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import random
import resource
import select
import signal
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.child_tasks import chunk_task, plan_task
from worker_service.child import tasks
from worker_service.messages import ChunkResult, Failed, Outcome, PlanResult
from worker_service.readers.bytes.codecs import zstd

ROWS = 60
SECONDS = 60
MEMORY = 1 << 30
CSV = b"k,n\n" + b"".join(b'"k%d",%d\n' % (i % 5, i) for i in range(ROWS))
COUNT = {"fn": "count", "as": "c"}
QUERIES = (
    {"group_by": [], "aggregates": [COUNT]},
    {"group_by": ["k"], "aggregates": [COUNT, {"fn": "sum", "column": "n", "as": "s"}]},
    {
        "group_by": ["b", "d"],
        "aggregates": [
            {"fn": "min", "column": "t"},
            {"fn": "sum", "column": "x"},
            {"fn": "first", "column": "k"},
        ],
    },
)
TABLE = pa.table({
    "k": [f"key{i % 5}" if i % 7 else None for i in range(ROWS)],
    "n": list(range(ROWS)), "f": [i / 3 for i in range(ROWS)],
    "b": [i % 2 == 0 for i in range(ROWS)], "d": [date(2024, 1, 1 + i % 28) for i in range(ROWS)],
    "t": pa.array([i * 3_600_000_000 for i in range(ROWS)], pa.timestamp("us")),
    "x": pa.array([Decimal(i) / 100 for i in range(ROWS)], pa.decimal128(9, 2)),
    "l": [[i] * (i % 3) for i in range(ROWS)], "st": [{"a": i, "s": str(i)} for i in range(ROWS)],
})  # fmt: skip


def parquets() -> Iterator[bytes]:
    for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
        for version in ("1.0", "2.0"):
            yield _written(TABLE, compression=codec, data_page_version=version, row_group_size=25)
    yield _written(
        TABLE, use_dictionary=False, compression="none", write_page_checksum=True, write_page_index=True
    )
    for text in ("DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"):
        encodings = {"n": "DELTA_BINARY_PACKED", "k": text, "f": "BYTE_STREAM_SPLIT"}
        yield _written(
            TABLE.select(["n", "k", "f"]), use_dictionary=False, compression="none", column_encoding=encodings
        )


def _written(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def zips() -> Iterator[bytes]:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", method) as archive:
            archive.writestr("folder/", b"")
            with archive.open("folder/é.csv", "w", force_zip64=method == zipfile.ZIP_STORED) as member:
                member.write(CSV)
        yield sink.getvalue()


def gzips() -> Iterator[bytes]:
    yield gzip.compress(CSV[:30]) + gzip.compress(b"") + gzip.compress(CSV[30:], 0)


def packed() -> Iterator[bytes]:
    for compress in (bz2.compress, lzma.compress, lz4.frame.compress, zstd.compress):
        yield compress(CSV[:30]) + compress(CSV[30:])


def csvs() -> Iterator[bytes]:
    yield CSV
    yield b'\xef\xbb\xbf#c\n\r\nk,n\r\n"a""b\n",1\r5" x,2\n#d\n"c",3'


KINDS = {"parquet": parquets, "zip": zips, "gzip": gzips, "packed": packed, "csv": csvs}


def damaged(chance: random.Random, data: bytes, lowest: int) -> bytes:
    """A few bytes from *lowest* on changed, taken out or put in."""
    out = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        at = chance.randrange(lowest, len(out))
        how = chance.randrange(20)
        if how < 8:
            out[at] ^= 1 << chance.randrange(8)
        elif how < 18:
            out[at] = chance.choice([0, 1, 2, 0x15, 0x19, 0x7F, 0x80, 0xFE, 0xFF, chance.randrange(256)])
        elif how == 18 and at < len(out) - 9:
            del out[at : at + chance.randrange(1, 9)]
        else:
            out[at:at] = chance.randbytes(chance.randrange(1, 9))
    return bytes(out)


def outcomes(data: bytes, kind: str, query: dict[str, object]) -> list[str]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "damaged")
        path.write_bytes(data)
        source = {"uris": [f"file://{path}"], "format": "parquet" if kind == "parquet" else "csv"}
        spec = {"source": source | ({"csv": {"comment": "#"}} if kind == "csv" else {}), **query}
        planned, _ = tasks.run(plan_task(spec, path, chunk_bytes=500))
        found = [planned]
        if isinstance(planned, PlanResult):
            for no in range(len(planned.chunk_texts)):
                found.append(tasks.run(chunk_task(spec, planned, no))[0])
    return [_named(outcome) for outcome in found]


def _named(outcome: Outcome) -> str:
    if isinstance(outcome, Failed):
        return outcome.problem["code"]
    if isinstance(outcome, ChunkResult) and outcome.rows.read != outcome.rows.accounted:
        return "mismatch"
    return "ok"


def apart(data: bytes, kind: str, query: dict[str, object]) -> list[str]:
    """The outcomes, found by a fork."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.write(write_end, json.dumps(outcomes(data, kind, query)).encode())
        os._exit(0)
    os.close(write_end)
    if not select.select([read_end], [], [], SECONDS)[0]:
        os.kill(child, signal.SIGKILL)
    said = os.read(read_end, 1 << 16)
    os.close(read_end)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if said:
        return json.loads(said)
    return ["hang" if code == -signal.SIGKILL else f"signal {-code}" if code < 0 else f"exit {code}"]


def tried(kind: str, count: int, chance: random.Random) -> Counter[str]:
    found, whole = Counter[str](), list(KINDS[kind]())
    for _ in range(count):
        data, query = chance.choice(whole), chance.choice(QUERIES[: 3 if kind == "parquet" else 2])
        footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little") if kind == "parquet" else 0
        found.update(apart(damaged(chance, data, chance.choice([0, footer])), kind, query))
    return found


if __name__ == "__main__":
    seed, *rest = sys.argv[1:]
    found = {
        kind: tried(kind, int(count), random.Random(seed))
        for kind, count in zip(rest[::2], rest[1::2], strict=True)
    }
    sys.stdout.write(json.dumps(found))
