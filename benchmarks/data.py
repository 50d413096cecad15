"""The data of the benchmarks; each file is made once, and kept.

The groupby data are db-benchmark's (h2oai, duckdblabs): its columns and distributions, with another seed.
"""

import gzip
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

FOLDER = Path(tempfile.gettempdir()) / "gristmill-bench"
SEED = 108
BLOCK = 1_000_000


def make(rows: int, groups: int = 100, folder: Path = FOLDER) -> tuple[Path, Path]:
    """`G1_<rows>_<groups>_0_0` as CSV and as Parquet; made once, and kept."""
    stem = folder / f"G1_{rows:.0e}_{groups:.0e}_0_0".replace("e+0", "e")
    paths = stem.with_suffix(".csv"), stem.with_suffix(".parquet")
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        _write(paths, rows, groups)
    return paths


def _write(paths: tuple[Path, Path], rows: int, groups: int) -> None:
    csv, parquet = (path.with_suffix(path.suffix + ".part") for path in paths)
    chance = np.random.default_rng(SEED)
    first = _block(chance, 0, rows, groups)
    with (
        pacsv.CSVWriter(csv, first.schema, write_options=pacsv.WriteOptions(quoting_style="none")) as lines,
        pq.ParquetWriter(parquet, first.schema) as file,
    ):
        for done in range(0, rows, BLOCK):
            block = _block(chance, min(BLOCK, rows - done), rows, groups)
            lines.write_table(block)
            file.write_table(block)
    csv.rename(paths[0])
    parquet.rename(paths[1])


def _block(chance: np.random.Generator, size: int, rows: int, groups: int) -> pa.Table:
    few, many = groups, rows // groups

    def text(most: int, digits: int) -> pa.Array:
        numbers = pa.array(chance.integers(1, most, size, endpoint=True))
        return pc.binary_join_element_wise("id", pc.utf8_lpad(numbers.cast(pa.string()), digits, "0"), "")

    return pa.table(
        {
            "id1": text(few, 3),
            "id2": text(few, 3),
            "id3": text(many, 10),
            "id4": chance.integers(1, few, size, endpoint=True),
            "id5": chance.integers(1, few, size, endpoint=True),
            "id6": chance.integers(1, many, size, endpoint=True),
            "v1": chance.integers(1, 5, size, endpoint=True),
            "v2": chance.integers(1, 15, size, endpoint=True),
            "v3": np.round(chance.uniform(0, 100, size), 6),
        }
    )


def forms(csv: Path) -> dict[str, Path]:
    """The same data in other forms: every field quoted, compressed, and five fields as NDJSON."""

    def quoted(path: Path) -> None:
        table = pacsv.read_csv(csv)
        texts = pa.table({name: table[name].cast(pa.string()) for name in table.column_names})
        pacsv.write_csv(texts, path, pacsv.WriteOptions(quoting_style="all_valid"))

    def gzipped(path: Path) -> None:
        with csv.open("rb") as source, gzip.open(path, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, 1 << 20)

    def zstandard(path: Path) -> None:
        with csv.open("rb") as source, pa.CompressedOutputStream(str(path), "zstd") as target:
            shutil.copyfileobj(source, target, 1 << 20)

    def ndjson(path: Path) -> None:
        import duckdb

        duckdb.sql(f"COPY (SELECT id1, id6, v1, v2, v3 FROM '{csv}') TO '{path}' (FORMAT json)")

    made = {"_quoted.csv": quoted, ".csv.gz": gzipped, ".csv.zst": zstandard, ".ndjson": ndjson}
    return {suffix: _once(csv.with_name(csv.stem + suffix), write) for suffix, write in made.items()}


def stations(rows: int, keys: int) -> Path:
    """Like the One Billion Row Challenge: `station;temperature`, normal about a mean for each station.

    Unlike there, the file has a header, and the stations have numbers for names.
    """

    def write(path: Path) -> None:
        chance = np.random.default_rng(SEED)
        names = pa.array([f"Station {'é' * (no % 3)}{no}" for no in range(keys)])
        means = chance.uniform(-20, 40, keys)
        schema = pa.schema({"station": pa.string(), "temperature": pa.float64()})
        options = pacsv.WriteOptions(delimiter=";", quoting_style="none")
        with pacsv.CSVWriter(path, schema, write_options=options) as lines:
            for done in range(0, rows, BLOCK):
                size = min(BLOCK, rows - done)
                which = chance.integers(0, keys, size)
                found = np.round(chance.normal(means[which], 10), 1)
                lines.write_table(pa.table([names.take(pa.array(which)), found], schema=schema))

    return _once(FOLDER / f"stations_{rows:.0e}_{keys}.csv", write)


def lineitem(scale: float) -> Path:
    """TPC-H's table lineitem as CSV, by tpchgen-cli."""

    def write(path: Path) -> None:
        scripts = sysconfig.get_path("scripts")
        program = shutil.which("tpchgen-cli", path=scripts) or sys.exit("tpchgen-cli is not installed")
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            subprocess.run([program, "csv", "-s", str(scale), "-T", "lineitem", "-o", folder], check=True)
            (Path(folder) / "lineitem.csv").rename(path)

    return _once(FOLDER / f"lineitem_{scale:g}.csv", write)


def _once(path: Path, write: Callable[[Path], None]) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        begun = path.with_name(f"begun_{path.name}")
        write(begun)
        begun.rename(path)
    return path
