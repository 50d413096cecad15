"""The C functions that read bytes of users, under AddressSanitizer and UBSan: `python -m tests.fuzz`.

With clang, libFuzzer looks for inputs. Else a small driver mutates those of the corpus, which is made anew.
The variants of the processor are compiled in turn.
"""

import argparse
import io
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hatch_build import NATIVE
from tests.support.texts import TEXTS, texts

HERE = Path(__file__).parent
SANITIZERS = [
    "-O1",
    "-g",
    "-std=c11",
    "-D_GNU_SOURCE",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
]
ENDS = ("\n", "\r\n", "\n\n", "\r")


def write_corpus(folder: Path, count: int = 600) -> None:
    chance = random.Random(1)
    cells = [text for kind in TEXTS for text in texts(kind, 200)] + ["", '""', '"a,b"', '"x""y"', "é", "NA"]
    for number in range(count):
        width = chance.randint(1, 4)
        flags = (
            width - 1 | chance.choice([0, 4]) | chance.choice([0, 8]) | chance.choice([0, 16, 48, 112, 240])
        )
        delimiter, end = "," if flags & 4 else "\t", chance.choice(ENDS)
        rows = [delimiter.join(chance.choices(cells, k=width)) for _ in range(chance.randint(0, 40))]
        if number % 4 == 0:
            values = [json.dumps(cell) for cell in cells] + cells + ["null", "[1, {}]", '{"a": [[], "x"]}']
            keys = chance.choices(["a", "b", "", "c"], k=width)
            rows = ["{" + ", ".join(f'"{key}": {chance.choice(values)}' for key in keys) + "}" for _ in rows]
        (folder / f"{number}").write_bytes(bytes([flags]) + end.join(rows).encode()[:8000])


def write_pages(folder: Path) -> None:
    """Column chunks of Parquet, without compression."""
    chance = random.Random(2)
    for number in range(120):
        rows = chance.randint(1, 60)
        numbers: list[int | None] = [chance.randrange(chance.choice([1, 3, 90])) for _ in range(rows)]
        numbers = [None if chance.random() < 0.2 else found for found in numbers]
        values = chance.choice(
            [pa.array(numbers), pa.array(numbers, pa.int32()), pa.array(numbers).cast(pa.string())]
        )
        if chance.random() < 0.2:
            values = pa.nulls(rows, values.type)
        out = io.BytesIO()
        pq.write_table(
            pa.table({"x": values}),
            out,
            compression="none",
            data_page_version=chance.choice(["1.0", "2.0"]),
            use_dictionary=chance.random() < 0.6,
            data_page_size=64,
        )
        chunk = pq.ParquetFile(out).metadata.row_group(0).column(0)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        pages = out.getvalue()[start : start + chunk.total_compressed_size]
        (folder / f"pages{number}").write_bytes(bytes([chance.randrange(256)]) + pages[:8000])


def run(march: list[str], seconds: int, folder: Path, corpus: Path) -> int:
    binary, sources = folder / "columns", [*NATIVE.joinpath("source").glob("*.c"), HERE / "columns.c"]
    clang = shutil.which("clang")
    how = (
        ["-fsanitize=fuzzer,address,undefined", "-DLIBFUZZER"] if clang else ["-fsanitize=address,undefined"]
    )
    command = [clang or "gcc", *SANITIZERS, *how, *march, f"-I{NATIVE / 'source'}", *sources, "-o", binary]
    subprocess.run(list(map(str, command)), check=True)
    given = [corpus, f"-max_total_time={seconds}"] if clang else [corpus, seconds]
    return subprocess.run([str(binary), *map(str, given)], check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    seconds = parser.parse_args().seconds
    marches = [["-mavx2", "-mbmi", "-mbmi2", "-mpopcnt"]] if "avx2" in _flags() else []
    marches += [[], ["-DGM_PORTABLE"]]
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name, "corpus")
        corpus.mkdir()
        write_pages(corpus)
        write_corpus(corpus)
        return max(run(march, max(seconds // len(marches), 1), Path(name), corpus) for march in marches)


def _flags() -> str:
    cpu = Path("/proc/cpuinfo")
    return cpu.read_text() if cpu.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
