"""The questions of the soak: small datasets of every kind, and for each spec the same question in SQL."""

import gzip
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow.parquet as pq

Row = dict[str, Any]
EVERY = [
    {"fn": "count"},
    *({"fn": fn, "column": "x"} for fn in ("mean", "min", "max")),
    {"fn": "sum", "column": "n"},
]
EVERY_SQL = "count(*) AS count, favg(x) AS mean_x, min(x) AS min_x, max(x) AS max_x, sum(n) AS sum_n"
TABLE = {"k": "VARCHAR", "city": "VARCHAR", "n": "BIGINT", "x": "DOUBLE"}
MANY = {"id": "VARCHAR", "v": "BIGINT", "w": "DOUBLE"}


@dataclass
class Case:
    """A spec whose answer is known.

    `digest`, `rows` and `receipt` come from a run without faults, `sql` is answered by DuckDB.
    """

    name: str
    spec: dict[str, Any]
    sql: str
    weight: int = 10
    code: str | None = None
    """Code of the error that the job must end with."""
    digest: str = ""
    rows: list[Row] = field(default_factory=list)
    read: int = 0
    receipt: Row = field(default_factory=dict)


async def cases(folder: Path, upload: Callable[[Path], Awaitable[str]]) -> list[Case]:
    """Write the datasets into *folder* and ask several things of each.

    *upload* stores a file and answers with its URI.
    """
    chance = Random(7)
    text = _table(chance, 24_000)
    quoted, packed, parquet = folder / "quoted.csv", folder / "packed.csv.gz", folder / "table.parquet"
    quoted.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    pq.write_table(duckdb.sql(_csv(quoted, TABLE)).to_arrow_table(), parquet, row_group_size=4000)
    parts = _parts(folder / "parts", chance)
    many, torn, widening = (folder / f"{name}.csv" for name in ("many", "torn", "widening"))
    many.write_text(_many(chance, 60_000))
    torn.write_text(_torn(many.read_text()))
    widening.write_text(_widening(110_000))
    x_table = _csv(quoted, TABLE)
    by_k, by_both = (
        f"SELECT k, {EVERY_SQL} FROM ({x_table}) GROUP BY k",
        f"SELECT k, city, {EVERY_SQL} FROM ({x_table}) GROUP BY k, city",
    )
    of_parts = f"SELECT k, {EVERY_SQL} FROM ({_csv(parts, TABLE)}) GROUP BY k"
    return [
        Case("quoted fields, 8 chunks", _spec(quoted, ["k"], chunk=160_000), by_k, weight=20),
        Case(
            "null keys dropped",
            _spec(quoted, ["k", "city"], chunk=320_000, semantics="pandas"),
            f"{by_both} HAVING k IS NOT NULL",
            weight=12,
        ),
        Case("gzip", _spec(packed, ["k", "city"]), by_both),
        Case("several files", _spec(parts, ["k"], chunk=60_000), of_parts),
        Case("two chunks at a time", _spec(quoted, ["k"], chunk=160_000, parallel=2), by_k, weight=6),
        Case(
            "Parquet",
            _spec(parquet, ["city"], chunk=1),
            f"SELECT city, {EVERY_SQL} FROM ({x_table}) GROUP BY city",
        ),
        Case("no keys", _spec(parquet, [], chunk=1), f"SELECT {EVERY_SQL} FROM ({x_table})"),
        Case("upload", _spec(await upload(quoted), ["k"], chunk=240_000), by_k),
        Case("named result", _spec(parts, ["k"], chunk=120_000, output={"name": "soak_parts"}), of_parts),
        Case(
            "1,000 groups, 6 chunks",
            _spec(many, ["id"], [{"fn": "sum", "column": "v"}, {"fn": "count"}], chunk=220_000),
            f"SELECT id, sum(v) AS sum_v, count(*) AS count FROM ({_csv(many, MANY)}) GROUP BY id",
            weight=4,
        ),
        Case(
            "a type that widens",
            _spec(
                widening, ["k"], [{"fn": "max", "column": "v"}, {"fn": "count", "column": "v"}], chunk=300_000
            ),
            "SELECT k, max(v) AS max_v, count(v) AS count_v "
            f"FROM ({_csv(widening, {'k': 'VARCHAR', 'v': 'DOUBLE'})}) GROUP BY k",
            weight=4,
        ),
        Case(
            "bad rows kept aside",
            _spec(
                torn,
                ["id"],
                [{"fn": "sum", "column": "v"}, {"fn": "count"}],
                chunk=220_000,
                types={"v": "int64"},
                on_bad_row="quarantine",
            ),
            f"SELECT id, sum(v) AS sum_v, count(*) AS count FROM ({_csv(many, MANY)}) GROUP BY id",
            weight=4,
        ),
        Case(
            "bad data", _spec(quoted, ["k"], chunk=20_000, types={"x": "int64"}), "", weight=3, code="bad_row"
        ),
    ]


def _spec(
    source: Path | str, keys: list[str], aggregates: list[Row] | None = None, **rest: Any
) -> dict[str, Any]:
    uri = source if isinstance(source, str) else f"file://{source}"
    shape = (
        {"format": "parquet"}
        if uri.endswith(".parquet")
        else {"format": "csv", "types": rest.pop("types", {})}
    )
    named = {"chunk": "chunk_bytes", "on_bad_row": "on_bad_row", "parallel": "max_parallel_chunks"}
    options = {key: rest.pop(name) for name, key in named.items() if name in rest}
    return {
        "source": {"uris": [uri], **shape},
        "group_by": keys,
        "aggregates": aggregates or EVERY,
        "options": options,
        **rest,
    }


def _csv(path: Path, columns: dict[str, str]) -> str:
    options = f"header = true, columns = {columns}, quote = '\"', allow_quoted_nulls = false"
    return f"SELECT * FROM read_csv('{path}', {options})"


def _table(chance: Random, rows: int) -> str:
    """Quotes, commas and line ends inside quotes; null keys; null integers; floats with all their digits."""
    lines = ["k,city,n,x"]
    for i in range(rows):
        n = "" if i % 17 == 0 else str(chance.randrange(-(2**40), 2**40))
        key = chance.choice(["a", "b", "c", "d", "é", ""])
        lines.append(f'{key},"new ""{i % 7}"",\ntown",{n},{chance.uniform(-1e6, 1e6)!r}')
    return "\n".join(lines) + "\n"


def _parts(folder: Path, chance: Random) -> Path:
    folder.mkdir()
    for part in range(8):
        (folder / f"part-{part}.csv").write_text(_table(chance, 1200))
    return folder / "*.csv"


def _many(chance: Random, rows: int) -> str:
    return "id,v,w\n" + "".join(
        f"id{chance.randrange(1000):04d},{chance.randrange(10**9)},{i / 8}\n" for i in range(rows)
    )


def _widening(rows: int) -> str:
    """Whole numbers, and one other number where the plan takes no sample.

    So every chunk is read again with the wider type. The plan samples the first 64 KB of every sixteenth of
    the file.
    """
    lines = [f"key{i % 10},{10**9 + i}\n" for i in range(rows)]
    lines[rows // 16 * 9 - 5] = "key1,2000000000.5\n"
    return "k,v\n" + "".join(lines)


def differences(rows: list[Row], sql: str) -> list[str]:
    """The differences between the rows of a clean run and DuckDB's.

    Integers and texts must be equal. Floats may differ by 1e-9, because its sums are not exact.
    """
    relation = duckdb.sql(sql)
    expected = [dict(zip(relation.columns, values, strict=True)) for values in relation.fetchall()]
    ours, theirs = sorted(rows, key=_order), sorted(expected, key=_order)
    if len(ours) != len(theirs):
        return [f"{len(ours)} rows, DuckDB has {len(theirs)}"]
    return [
        f"{a} is not {b}"
        for a, b in zip(ours, theirs, strict=True)
        if a.keys() != b.keys() or not all(_same(a[name], b[name]) for name in b)
    ]


def _order(row: Row) -> list[tuple[bool, str]]:
    return [(value is None, str(value)) for value in row.values() if value is None or isinstance(value, str)]


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, float) and ours is not None:
        return math.isclose(float(ours), theirs, rel_tol=1e-9)
    return ours is theirs if theirs is None else str(ours) == str(theirs)


def _torn(text: str) -> str:
    """*text* with a record of too few fields, or with no number, for each thousand of the others."""
    head, *lines = text.splitlines(keepends=True)
    bad = ["id0001\n", "id0002,many,1.5\n"]
    return head + "".join(
        line + (bad[i // 1000 % 2] if i % 1000 == 7 else "") for i, line in enumerate(lines)
    )
