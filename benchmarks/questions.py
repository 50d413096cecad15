"""The questions of the benchmarks, as each engine is asked them: db-benchmark's ten, and some beside them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANY_GROUPS = {"limits": {"max_groups": 100_000_000, "max_state_bytes": 1 << 36}}
"""Of a spec: the default limits refuse as many groups as a large file has rows."""
MEAN = {v: {"fn": "mean", "column": v} for v in ("v1", "v2", "v3")}
SUM = {v: {"fn": "sum", "column": v} for v in ("v1", "v2", "v3")}


@dataclass(frozen=True)
class Question:
    """`aggregates` and `compute` are of Gristmill's spec, by the name of their column.

    `sql` and `polars` make the columns of the answer. `frame` makes them from a group-by of pandas, which
    Dask has too; it is None where Dask has no such function. `lists`: the column holds lists; `times`: it
    holds times; `many`: the answer may have millions of rows. `source` and `job` are the rest of the spec.
    `prepare` does the same to Polars' scan, `where` to DuckDB's rows, and `sql_keys` has the expressions of
    its keys that are no columns.
    """

    keys: list[str]
    aggregates: dict[str, dict[str, Any]]
    sql: dict[str, str]
    polars: Callable[[Any], dict[str, Any]]
    frame: Callable[[Any], Any] | None = None
    compute: dict[str, str] = field(default_factory=dict)
    lists: str | None = None
    source: dict[str, Any] = field(default_factory=dict)
    job: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Any, Any], Any] = lambda scan, _: scan
    where: str = "true"
    times: str | None = None
    many: bool = False
    sql_keys: dict[str, str] = field(default_factory=dict)

    @property
    def answer(self) -> list[str]:
        return list(self.sql)

    @property
    def used(self) -> list[str]:
        """The columns of the data that the question is about."""
        named = (entry.get(at) for entry in self.aggregates.values() for at in ("column", "x", "y"))
        return [*self.keys, *dict.fromkeys(name for name in named if name)]

    def spec(self, file: Path) -> dict[str, Any]:
        return {
            "source": {"uris": [f"file://{file}"], **self.source},
            "group_by": self.keys,
            "aggregates": [entry | {"as": name} for name, entry in self.aggregates.items()],
            "compute": [{"as": name, "expr": text} for name, text in self.compute.items()],
            **self.job,
        }

    def query(self, table: str) -> str:
        """The SQL over *table*, a name or a call of DuckDB."""
        made = (self.sql_keys | self.sql).items()
        keys = (key for key in self.keys if key not in self.sql_keys)
        columns = ", ".join([*keys, *(f"{sql} AS {name}" for name, sql in made)])
        return f"SELECT {columns} FROM {table} WHERE {self.where} GROUP BY ALL"


QUESTIONS = {
    "q1": Question(
        ["id1"],
        {"v1": SUM["v1"]},
        {"v1": "sum(v1)"},
        lambda pl: {"v1": pl.sum("v1")},
        lambda groups: groups.agg({"v1": "sum"}),
    ),
    "q2": Question(
        ["id1", "id2"],
        {"v1": SUM["v1"]},
        {"v1": "sum(v1)"},
        lambda pl: {"v1": pl.sum("v1")},
        lambda groups: groups.agg({"v1": "sum"}),
    ),
    "q3": Question(
        ["id3"],
        {"v1": SUM["v1"], "v3": MEAN["v3"]},
        {"v1": "sum(v1)", "v3": "avg(v3)"},
        lambda pl: {"v1": pl.sum("v1"), "v3": pl.mean("v3")},
        lambda groups: groups.agg({"v1": "sum", "v3": "mean"}),
    ),
    "q4": Question(
        ["id4"],
        MEAN,
        {v: f"avg({v})" for v in MEAN},
        lambda pl: {v: pl.mean(v) for v in MEAN},
        lambda groups: groups.agg(dict.fromkeys(MEAN, "mean")),
    ),
    "q5": Question(
        ["id6"],
        SUM,
        {v: f"sum({v})" for v in SUM},
        lambda pl: {v: pl.sum(v) for v in SUM},
        lambda groups: groups.agg(dict.fromkeys(SUM, "sum")),
    ),
    "q6": Question(
        ["id4", "id5"],
        {"median": {"fn": "median", "column": "v3"}, "sd": {"fn": "std", "column": "v3"}},
        {"median": "median(v3)", "sd": "stddev_samp(v3)"},
        lambda pl: {"median": pl.median("v3"), "sd": pl.std("v3")},
    ),
    "q7": Question(
        ["id3"],
        {"v1": {"fn": "max", "column": "v1"}, "v2": {"fn": "min", "column": "v2"}},
        {"spread": "max(v1) - min(v2)"},
        lambda pl: {"spread": pl.max("v1") - pl.min("v2")},
        lambda groups: (groups["v1"].max() - groups["v2"].min()).to_frame("spread"),
        {"spread": "v1 - v2"},
    ),
    "q8": Question(
        ["id6"],
        {"two": {"fn": "top", "column": "v3", "k": 2}},
        {"two": "max(v3, 2)"},
        lambda pl: {"two": pl.col("v3").top_k(2)},
        lists="two",
    ),
    "q9": Question(
        ["id2", "id4"],
        {"r": {"fn": "corr", "y": "v1", "x": "v2"}},
        {"r2": "corr(v1, v2) ^ 2"},
        lambda pl: {"r2": pl.corr("v1", "v2") ** 2},
        compute={"r2": "r ** 2"},
    ),
    "q10": Question(
        ["id1", "id2", "id3", "id4", "id5", "id6"],
        {"v3": SUM["v3"], "n": {"fn": "count"}},
        {"v3": "sum(v3)", "n": "count(*)"},
        lambda pl: {"v3": pl.sum("v3"), "n": pl.len()},
        lambda groups: groups.agg(v3=("v3", "sum"), n=("v3", "size")),
        job=MANY_GROUPS,
        many=True,
    ),
}

_NET = "l_extendedprice * (1 - l_discount)"
_SUMS = {
    "sum_qty": "l_quantity",
    "sum_base_price": "l_extendedprice",
    "sum_disc_price": "net",
    "sum_charge": "gross",
}
_MEANS = {"avg_qty": "l_quantity", "avg_price": "l_extendedprice", "avg_disc": "l_discount"}
_SQL = {"net": _NET, "gross": f"{_NET} * (1 + l_tax)"}
_SHIPPED = "1998-09-02"

MORE = {
    "1brc": Question(
        ["station"],
        {how: {"fn": how, "column": "temperature"} for how in ("min", "mean", "max")},
        {"min": "min(temperature)", "mean": "avg(temperature)", "max": "max(temperature)"},
        lambda pl: {how: getattr(pl.col("temperature"), how)() for how in ("min", "mean", "max")},
        source={"csv": {"delimiter": ";"}},
    ),
    "tpch1": Question(
        ["l_returnflag", "l_linestatus"],
        {
            **{name: {"fn": "sum", "column": column} for name, column in _SUMS.items()},
            **{name: {"fn": "mean", "column": column} for name, column in _MEANS.items()},
            "count_order": {"fn": "count"},
        },
        {
            **{name: f"sum({_SQL.get(column, column)})" for name, column in _SUMS.items()},
            **{name: f"avg({column})" for name, column in _MEANS.items()},
            "count_order": "count(*)",
        },
        lambda pl: {
            **{name: pl.sum(column) for name, column in _SUMS.items()},
            **{name: pl.mean(column) for name, column in _MEANS.items()},
            "count_order": pl.len(),
        },
        job={
            "derive": [{"as": "net", "expr": _NET}, {"as": "gross", "expr": "net * (1 + l_tax)"}],
            "where": f"l_shipdate <= '{_SHIPPED}'",
        },
        prepare=lambda scan, pl: (
            scan.filter(pl.col("l_shipdate") <= pl.lit(_SHIPPED).str.to_date())
            .with_columns(net=pl.col("l_extendedprice") * (1 - pl.col("l_discount")))
            .with_columns(gross=pl.col("net") * (1 + pl.col("l_tax")))
        ),
        where=f"l_shipdate <= DATE '{_SHIPPED}'",
    ),
    "months": Question(
        ["month"],
        {"quantity": {"fn": "sum", "column": "l_quantity"}, "n": {"fn": "count"}},
        {"quantity": "sum(l_quantity)", "n": "count(*)"},
        lambda pl: {"quantity": pl.sum("l_quantity"), "n": pl.len()},
        job={
            "where": "l_discount > 0.045",
            "group_by": [{"time_bucket": "1mo", "column": "l_shipdate", "as": "month"}],
        },
        prepare=lambda scan, pl: scan.filter(pl.col("l_discount") > 0.045).with_columns(
            month=pl.col("l_shipdate").dt.truncate("1mo")
        ),
        where="l_discount > 0.045",
        times="month",
        sql_keys={"month": "date_trunc('month', l_shipdate)"},
    ),
}
EVERY = {**QUESTIONS, **MORE}
