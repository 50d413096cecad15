"""TPC-H's lineitem, digit for digit as in exact arithmetic.

The oracle is Python's csv module, integers and fractions; of Q1 and Q6 it is DuckDB with its exact decimals.
"""

import csv
import os
import shutil
import subprocess
import sysconfig
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter

import duckdb
import pytest

COLUMNS = ("l_quantity", "l_extendedprice", "l_discount", "l_tax")
KEYS = ("l_returnflag", "l_linestatus")


@pytest.fixture(scope="module")
def lineitem(stack):
    """The table lineitem at scale factor 0.1: 600,572 rows, 75 MB, every comment in quotes."""
    program = shutil.which(
        "tpchgen-cli", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    )
    assert program is not None, "tpchgen-cli is not installed; it comes with the extra dev"
    subprocess.run([program, "csv", "-s", "0.1", "-T", "lineitem", "-o", stack.data / "tpch"], check=True)
    return stack.data / "tpch" / "lineitem.csv"


def totals(path):
    """For each group the number of its rows; for each column the sums of its values and of their squares.

    The values are in hundredths, as Python's integers.
    """
    found = defaultdict(lambda: [0] * (1 + 2 * len(COLUMNS)))
    with path.open(newline="") as file:
        rows = csv.reader(file)
        names = next(rows)
        key, measures = itemgetter(*map(names.index, KEYS)), itemgetter(*map(names.index, COLUMNS))
        for row in rows:
            group = found[key(row)]
            group[0] += 1
            for at, text in enumerate(measures(row)):
                whole, _, part = text.partition(".")
                value = int(whole + part.ljust(2, "0"))
                group[1 + 2 * at] += value
                group[2 + 2 * at] += value * value
    return found


def expected(n, *sums):
    """The result's columns of a group, as JSON has them."""
    row = {}
    for name, total, squares in zip(COLUMNS, sums[::2], sums[1::2], strict=True):
        row[f"sum_{name}"] = str(Decimal(total).scaleb(-2))
        row[f"mean_{name}"] = str(Decimal(round(Fraction(total * 10**6, n))).scaleb(-8))  # half to even
        row[f"var_{name}"] = float(Fraction(n * squares - total * total, n * (n - 1) * 100**2))
    return row


def test_sum_mean_and_variance_of_lineitems_decimals_are_those_of_exact_arithmetic(stack, lineitem):
    aggregates = [{"fn": fn, "column": name} for name in COLUMNS for fn in ("sum", "mean", "var")]
    source = {"uris": [f"file://{lineitem}"], "types": dict.fromkeys(COLUMNS, "decimal(15,2)")}
    job = stack.run(
        {
            "source": source,
            "group_by": list(KEYS),
            "aggregates": aggregates,
            "options": {"chunk_bytes": 10_000_000},
        }
    )
    assert job["error"] is None
    assert (job["progress"]["rows"]["read"], job["progress"]["chunks"]["total"]) == (600_572, 8)
    found = {tuple(row.pop(key) for key in KEYS): row for row in stack.rows(job["id"])}
    assert found == {key: expected(*sums) for key, sums in totals(lineitem).items()}


DERIVED = [
    {"as": "disc_price", "expr": "l_extendedprice * (1 - l_discount)"},
    {"as": "charge", "expr": "disc_price * (1 + l_tax)"},
]
SUMMED = {
    "l_quantity": "l_quantity",
    "l_extendedprice": "l_extendedprice",
    "disc_price": "l_extendedprice * (1 - l_discount)",
    "charge": "l_extendedprice * (1 - l_discount) * (1 + l_tax)",
}
AVERAGED = ("l_quantity", "l_extendedprice", "l_discount")


def of_duckdb(lineitem, sql):
    types = ", ".join(f"'{name}': 'DECIMAL(15,2)'" for name in COLUMNS)
    return duckdb.sql(sql.replace("lineitem", f"read_csv('{lineitem}', types = {{{types}}})")).fetchall()


def test_tpchs_first_query_is_answered_digit_for_digit(stack, lineitem):
    job = stack.run(
        {
            "source": {
                "uris": [f"file://{lineitem}"],
                "types": dict.fromkeys(COLUMNS, "decimal(15,2)"),
            },
            "derive": DERIVED,
            "where": "l_shipdate <= '1998-09-02'",
            "group_by": list(KEYS),
            "aggregates": [
                *({"fn": "sum", "column": name} for name in SUMMED),
                *({"fn": "mean", "column": name} for name in AVERAGED),
                {"fn": "count"},
            ],
            "options": {"chunk_bytes": 10_000_000},
        }
    )
    assert job["error"] is None
    sums = ", ".join(f"sum({sql})" for sql in (*SUMMED.values(), "l_discount"))
    right = {}
    for flag, status, n, *totals in of_duckdb(
        lineitem,
        f"SELECT {', '.join(KEYS)}, count(*), {sums} FROM lineitem "
        "WHERE l_shipdate <= DATE '1998-09-02' GROUP BY ALL",
    ):
        row = {f"sum_{name}": Decimal(total) for name, total in zip(SUMMED, totals, strict=False)}
        for name, total in zip(AVERAGED, (totals[0], totals[1], totals[-1]), strict=True):
            exact = Fraction(total) / n
            row[f"mean_{name}"] = Decimal(round(exact * 10**8)).scaleb(-8)  # half to even
        right[flag, status] = row | {"count": n}
    found = {tuple(row.pop(key) for key in KEYS): row for row in stack.rows(job["id"])}
    assert {key: {name: Decimal(value) for name, value in row.items()} for key, row in found.items()} == right


def test_tpchs_sixth_query_is_answered_digit_for_digit(stack, lineitem):
    job = stack.run(
        {
            "source": {
                "uris": [f"file://{lineitem}"],
                "types": dict.fromkeys(COLUMNS, "decimal(15,2)"),
            },
            "derive": [{"as": "revenue", "expr": "l_extendedprice * l_discount"}],
            "where": (
                "'1994-01-01' <= l_shipdate < '1995-01-01' and 0.05 <= l_discount <= 0.07 and l_quantity < 24"
            ),
            "group_by": [],
            "aggregates": [{"fn": "sum", "column": "revenue", "as": "revenue"}, {"fn": "count"}],
        }
    )
    assert job["error"] is None
    [(revenue, n)] = of_duckdb(
        lineitem,
        "SELECT sum(l_extendedprice * l_discount), count(*) FROM lineitem "
        "WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01' "
        "AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24",
    )
    [row] = stack.rows(job["id"])
    assert (Decimal(row["revenue"]), row["count"]) == (revenue, n)
    rows = stack.http.get(f"/v1/jobs/{job['id']}/receipt").json()["rows"]
    assert (rows["read"], rows["aggregated"], rows["filtered"]) == (600_572, n, 600_572 - n)
