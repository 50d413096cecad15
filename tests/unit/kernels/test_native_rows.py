# ruff: noqa: DTZ001  (naive timestamps are tested)
"""Rows on both paths: their order, their canonical bytes, and `take`."""

import datetime as dt
import math
import random
import struct
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from tests.support.native import PATHS, path
from tests.unit.kernels.queries import nearest
from worker_service.kernels.engine import digest
from worker_service.kernels.engine.digest import bucket_digests
from worker_service.kernels.engine.finalize import _order
from worker_service.kernels.engine.take import take
from worker_service.kernels.exact.limbs import carry
from worker_service.kernels.exact.rounding import rounded
from worker_service.native import library

WIDE = [10**38 - 1, 1 - 10**38, None, 0, 2**64, -1]
COLUMNS = {
    "b": pa.array([True, False, None, True, False, True]),
    "i": pa.array([0, -1, 2**63 - 1, -(2**63), None, 7]),
    "f": pa.array([0.0, -0.0, math.inf, -math.inf, None, 5e-324]),
    "n": pa.array([math.nan, -1.5, 2.5, None, 1e308, -math.nan]),
    "m": pa.array([None if n is None else Decimal(n) for n in WIDE], pa.decimal128(38, 0)),
    "c": pa.array([1, -9999, None, 0, 100, 10]).cast(pa.decimal128(21, 2)),
    "d": pa.array([0, -719162, 2932896, None, 10957, -1], pa.int32()).cast(pa.date32()),
    "t": pa.array([946684800 * 10**6, -(10**15), 10**16, None, 0, None], pa.timestamp("us")),
    "z": pa.array([0, 1, -1, None, 2**40, -(2**40)], pa.timestamp("us", tz="UTC")),
    "s": pa.array(["", "a", 'q"\\', None, "é\U0001f600", "a longer text than eight bytes"]),
    "e": pa.array(["x", "y", None, "x", "x", "y"]).dictionary_encode(),
    "l": pa.array([[1, 2], [], None, [-1], [None, 3], [2**62]]),
    "k": pa.array([["a", ""], ["b\\"], None, [], [None], ["long enough to be no word"]]),
}


def canonical(value, kind):  # noqa: PLR0911  # one for each type
    if value is None:
        return b"\0"
    if pa.types.is_list(kind):
        items = b"".join(canonical(item, kind.value_type) for item in value)
        return b"\1" + struct.pack("<i", len(value)) + items
    if isinstance(value, str):
        data = value.encode()
        return b"\1" + struct.pack("<i", len(data)) + data
    if pa.types.is_boolean(kind):
        return b"\1" + bytes([value])
    if pa.types.is_floating(kind):
        number = 0x7FF8 << 48 if math.isnan(value) else struct.unpack("<Q", struct.pack("<d", value + 0.0))[0]
        return b"\1" + struct.pack("<Q", number)
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind):
        scale = kind.scale if pa.types.is_decimal(kind) else 0
        return b"\1" + int(Fraction(value) * 10**scale).to_bytes(16, "little", signed=True)
    if pa.types.is_date(kind):
        return b"\1" + struct.pack("<i", (value - dt.date(1970, 1, 1)).days)
    naive = value.replace(tzinfo=None) - dt.datetime(1970, 1, 1)
    return b"\1" + struct.pack("<q", naive // dt.timedelta(microseconds=1))


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize("cut", [(0, 6), (1, 5), (3, 4), (6, 6)])
def test_the_bytes_of_the_digest_are_the_documented_ones(setting, cut, monkeypatch):
    table = pa.table(COLUMNS).slice(cut[0], cut[1] - cut[0])
    seen = []
    with path(setting):
        library()  # which has a stamp of SHA-256 of its own
        monkeypatch.setattr(digest.hashlib, "sha256", lambda data: seen.append(bytes(data)) or Seen())
        bucket_digests(table, np.arange(table.num_rows))
    kinds = {field.name: pa.utf8() if field.name == "e" else field.type for field in table.schema}
    assert seen == [
        b"".join(canonical(row[name], kind) for name, kind in kinds.items()) for row in table.to_pylist()
    ]


class Seen:
    def digest(self):
        return b""


def drawn(choices, kind=None):
    r = random.Random(5)
    return pa.array([r.choice(choices) for _ in range(600)], kind)


TEXTS = ["", "abcdefg", "abcdefgh", "abcdefgh1", "abcdefgh2", "ab\0", "ab", "é", "\U0001f600", None]
KEYS = {
    "numbers": [drawn([None, 2**63 - 1, -(2**63), 0, -1, 1])],
    "doubles": [drawn([None, math.nan, math.inf, -math.inf, 0.0, 0.5, -0.5, 5e-324, -1e300])],
    "texts": [drawn(TEXTS)],
    "decimals": [drawn([None, *map(Decimal, (2**70, 2**70 + 1, -(2**70), 5, -5))], pa.decimal128(38, 0))],
    "many": [
        drawn([None, True, False]),
        drawn([None, dt.date(2000, 1, 1), dt.date(1999, 1, 1)])[::-1],
        drawn(["x", "y", "z"]),
        drawn([1, 2, 3, -1, -2], pa.timestamp("us"))[::-1],
    ],
}


def place(value):
    """Nulls last, NaN before them; texts by their bytes."""
    if value is None:
        return (2,)
    if isinstance(value, float) and math.isnan(value):
        return (1,)
    return (0, value.encode() if isinstance(value, str) else value)


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize("kind", KEYS)
def test_rows_are_ordered_by_bucket_and_keys(setting, kind):
    keys = [key.slice(1) for key in KEYS[kind]]
    buckets = np.random.default_rng(1).choice([0, 5, 1023], 599)
    with path(setting):
        order = _order(buckets, keys).tolist()
    assert sorted(order) == list(range(599))
    columns = [buckets.tolist(), *(key.to_pylist() for key in keys)]
    found = [tuple(place(column[row]) for column in columns) for row in order]
    assert found == sorted(found)


@pytest.mark.parametrize("setting", PATHS)
def test_without_keys_there_is_one_row(setting):
    with path(setting):
        assert _order(np.array([413]), []).tolist() == [0]


@pytest.mark.parametrize("setting", PATHS)
@pytest.mark.parametrize("name", [*COLUMNS, "x", "y"])
def test_take_is_arrows(setting, name):
    more = {
        "x": pa.array(["", "ab", "0123456789abcdef", "0123456789abcdefg", "é", "z"]),
        "y": pa.array([[1.5], [], [2.5, 3.5], [], [4.5] * 9, [0.0]]),
    }
    column = {**COLUMNS, **more}[name]
    for part in (column, column.slice(2), column.slice(1, 3), column.slice(6)):
        for rows in ([], [0], [2, 0, 1, 1, 0], list(range(len(part)))[::-1]):
            if max(rows, default=-1) < len(part):
                with path(setting):
                    found = take(part, np.array(rows, np.int64))
                found.validate(full=True)
                assert found.to_pylist() == part.take(pa.array(rows, pa.int64())).to_pylist() or name == "n"


@pytest.mark.parametrize("setting", PATHS)
def test_exact_sums_are_rounded_once(setting):
    r = np.random.default_rng(3)
    digits = {
        j: r.integers(-(2**31), 2**31, 400) * (r.random(400) < 0.6) for j in (-34, -3, -2, -1, 0, 1, 2, 31)
    }
    digits[-3][:50], digits[0][:50], digits[-1][:50] = 1, 2**30, -(2**31)
    limbs = carry(digits)
    with path(setting):
        found = rounded(limbs, 400).tolist()
        assert rounded({}, 3).tolist() == [0.0] * 3
    for i, number in enumerate(found):
        exact = sum(
            (Fraction(int(part[i])) * Fraction(2) ** (32 * j) for j, part in limbs.items()), Fraction(0)
        )
        assert number == nearest(exact)
