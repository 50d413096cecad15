"""Values that are held in place, against sorting and counting with Python, and the states of whole frames."""

import math
import random
import statistics
from decimal import Decimal
from unittest.mock import patch

import pyarrow as pa
import pytest

from tests.support.native import needs_library, path
from tests.unit.kernels.queries import query
from worker_service.kernels import Fold, combine, finalize, partial
from worker_service.kernels.aggregates import running_values

pytestmark = needs_library
VALUES = {
    "few": (lambda c: c.randint(-2, 2), pa.int64()),
    "many": (lambda c: c.randint(-(2**63), 2**63 - 1), pa.int64()),
    "extreme": (lambda c: c.choice([2**63 - 1, -(2**63), 0]), pa.int64()),
    "doubles": (lambda c: c.choice([c.gauss(0, 1), 0.0, -0.0, math.inf, -math.inf]), pa.float64()),
    "decimals": (lambda c: Decimal(c.randint(-(10**17), 10**17)).scaleb(-3), pa.decimal128(18, 3)),
}


def frames_of(name, sizes):
    choice, (value, kind) = random.Random(name), VALUES[name]
    for size in sizes:
        values = [None if choice.random() < 0.1 else value(choice) for _ in range(size)]
        keys = pa.array([choice.randrange(1 + size // 9) for _ in range(size)], pa.int64())
        yield pa.table({"k": keys, "x": pa.array(values, kind)})


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("few_keys", [5, 1 << 18])
def test_values_held_in_place_give_what_sorted_ones_do(name, few_keys):
    """With *few_keys* to wait for, values are settled after most frames."""
    frames = list(frames_of(name, [1, 40, 0, 300, 7, 900]))
    ks = (1, 2, 3, 7, 16, 17, 40)
    texts = ["nunique x", "median x", *(f"{end} x {k}" for k in ks for end in ("top", "bottom"))]
    asked = query(frames[0], ["k"], texts)
    with path("require"), patch.object(running_values, "_FEW_KEYS", few_keys):
        fold = Fold(asked)
        for frame in frames:
            fold.add(frame)
        found = finalize(fold.finish(), asked)
        assert finalize(fold.flush(), asked).buckets == found.buckets
    with path("off"):
        whole = pa.concat_tables(frames)
        assert finalize(combine([partial(whole, asked)], asked), asked).buckets == found.buckets
    groups = {}
    for row in whole.to_pylist():
        groups.setdefault(row["k"], []).extend([] if row["x"] is None else [row["x"]])
    for row in found.table.to_pylist():
        values = sorted(groups[row["k"]])
        assert row["nunique x"] == len(set(values))
        if len(values) % 2 and name != "decimals":
            assert row["median x"] == float(statistics.median(values))
        for k in ks:
            assert row[f"top x {k}"] == (values[::-1][:k] or None)
            assert row[f"bottom x {k}"] == (values[:k] or None)
