"""What the jobs of another queue do with pandas: the groups of a part of a CSV file, then those of all parts.

Each part's groups go into a file of a common folder, because both queues advise against large messages.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

CHUNK_BYTES = 32 << 20


@dataclass(frozen=True)
class Split:
    """`parts` are named aggregations of a part. All are summed over the parts, then `finish` has its turn."""

    keys: list[str]
    parts: dict[str, tuple[str, str]]
    finish: Callable[[pd.DataFrame], pd.DataFrame] = lambda sums: sums

    @property
    def used(self) -> list[str]:
        return [*self.keys, *dict.fromkeys(column for column, _ in self.parts.values())]


def _mean(sums: pd.DataFrame) -> pd.DataFrame:
    return sums.assign(v3=sums["v3"] / sums["n"]).drop(columns="n")


_SUM_AND_MEAN = {"v1": ("v1", "sum"), "v3": ("v3", "sum"), "n": ("v3", "count")}
SPLITS = {
    "q1": Split(["id1"], {"v1": ("v1", "sum")}),
    "q3": Split(["id3"], _SUM_AND_MEAN, _mean),
    "small": Split(["id1"], _SUM_AND_MEAN, _mean),
}


def cuts(file: Path, size: int = CHUNK_BYTES) -> list[tuple[int, int]]:
    """Parts of about *size* bytes, each of whole lines, from behind the header to the end."""
    end = file.stat().st_size
    with file.open("rb") as lines:
        lines.readline()
        found = [lines.tell()]
        while found[-1] + size < end:
            lines.seek(found[-1] + size)
            lines.readline()
            found.append(lines.tell())
    return [(start, until) for start, until in zip(found, [*found[1:], end], strict=True) if start < until]


def part(name: str, file: str, start: int, end: int, folder: str) -> str:
    """The path of the groups of one part."""
    split, path = SPLITS[name], Path(folder) / f"{start}.feather"
    with Path(file).open("rb") as lines:
        header = lines.readline()
        lines.seek(start)
        data = header + lines.read(end - start)
    rows = pd.read_csv(io.BytesIO(data), usecols=split.used)
    groups = rows.groupby(split.keys, sort=False).agg(**split.parts)
    groups.reset_index().to_feather(path, compression="uncompressed")
    return str(path)


def together(paths: list[str], name: str, out: str) -> str:
    """The answer as Parquet at *out*."""
    split = SPLITS[name]
    sums = pd.concat(map(pd.read_feather, paths)).groupby(split.keys, sort=False).sum()
    split.finish(sums).reset_index().to_parquet(out)
    return out


def small(file: str) -> list[dict[str, Any]]:
    """The rows of the small job."""
    split = SPLITS["small"]
    rows = pd.read_csv(file, usecols=split.used).groupby(split.keys, sort=False).agg(**split.parts)
    return split.finish(rows).reset_index().to_dict("records")
