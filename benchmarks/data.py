"""The groupby data of db-benchmark (h2oai, duckdblabs).

Columns and distributions are the same; the seed is another.
"""

import tempfile
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
