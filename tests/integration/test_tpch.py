"""Sums, means and variances of TPC-H's decimals, digit for digit those of exact arithmetic.

The exact side is Python's csv module, integers and fractions.
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
    """For each group the number of rows, and for each column two sums, as Python's integers.

    These are the sums of its values in hundredths, and of their squares.
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
