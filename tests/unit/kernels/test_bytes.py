# ruff: noqa: DTZ001  (naive timestamps are tested)
"""The bytes that leave the kernels: states, hashes, digests and CSV."""

import csv
import datetime as dt
import hashlib
import io
import json
import math
import struct
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shared.errors import InternalError
from shared.spec.digests import result_digest
from tests.support.native import PATHS, path
from tests.unit.kernels.queries import query
from worker_service.kernels import GLOBAL_BUCKET, combine, decode, encode, finalize, partial, to_copy_csv
from worker_service.kernels.hashing import buckets, hash_keys
from worker_service.native import library

MASK = 2**64 - 1


def mix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def slow_hash(*keys):
    """The hash as its documentation says it, one key at a time."""
    state = 0x67726973746D696C
    for key in keys:
        if key is None:
            one = 0x6E756C6C
        elif isinstance(key, str):
            data = key.encode()
            one = len(data)
            for i in range(0, len(data), 8):
                one = mix((one * 0x9E3779B97F4A7C15 + int.from_bytes(data[i : i + 8], "little")) & MASK)
        elif isinstance(key, float):
            one = mix(struct.unpack("<Q", struct.pack("<d", key))[0])
        else:
            one = mix(key & MASK)
        state = mix((state * 0x9E3779B97F4A7C15 + one) & MASK)
    return state


@pytest.fixture(params=PATHS)
def either_path(request):
    if request.param == "require" and library() is None:
        pytest.skip("the native library is not in use here")
    with path(request.param):
        yield


@pytest.mark.usefixtures("either_path")
def test_the_hash_never_changes():
    texts = pa.array(["", "a", "KR", "né", None, "twelve bytes", "8 octets"])
    assert [f"{h:016x}" for h in hash_keys([texts], 7).tolist()] == [
        "b9e443e9ff68dc1c", "f56ebce98e03eaa5", "ed4bd7fb9bacf0e4", "790d439818dcea57",
        "3cf68b4daa54dac7", "b9e5b7a6b3e2f0df", "e70dc618ffab0cec",
    ]  # fmt: skip
    pairs = [pa.array([0, -1, 2**63 - 1, None]), pa.array([0.5, -0.0, math.nan, None])]
    assert [f"{h:016x}" for h in hash_keys(pairs, 4).tolist()] == [
        "f01d98679fd669d4", "bc25708cb7199dcc", "0d95cef58acba5e1", "a4a5a8389fd5a192",
    ]  # fmt: skip
    assert GLOBAL_BUCKET == 413


@pytest.mark.usefixtures("either_path")
def test_the_hash_is_the_documented_one_for_every_chunk_dictionary_and_offset():
    texts = [*(f"key{i % 50}" for i in range(200)), "", "x" * 3000, "é\U0001f600", None]
    numbers = list(range(-100, 104))
    expected = [slow_hash(text, number, 0.5) for text, number in zip(texts, numbers, strict=True)]
    halves = pa.array([0.5] * 204)
    shuffled = pa.DictionaryArray.from_arrays(
        pa.array(texts[::-1]).dictionary_encode().indices[::-1],
        pa.array(texts[::-1]).dictionary_encode().dictionary,
    )
    for strings in (
        pa.array(texts),
        pa.array(texts).dictionary_encode(),
        pa.array(["zz", *texts]).slice(1),
        shuffled,
    ):
        assert hash_keys([strings, pa.array(numbers), halves], 204).tolist() == expected


@pytest.mark.usefixtures("either_path")
def test_the_hash_of_every_type_is_that_of_its_number():
    numbers = {
        pa.bool_(): [True, None, False],
        pa.date32(): [-719_162, None, 2_932_896],
        pa.timestamp("us", tz="UTC"): [-1, None, 2**52],
        pa.decimal128(18, 2): [-(10**18) + 1, None, 7],
    }
    columns = [
        pa.array([n if n is None or scale is None else Decimal(n).scaleb(-scale) for n in values], of)
        for of, values in numbers.items()
        for scale in [of.scale if pa.types.is_decimal(of) else None]
    ]
    texts = [f"{'€' * (size // 3)}{'a' * (size % 3)}" for size in range(40)]
    keys = [
        *(column.take(pa.array([no % 3 for no in range(40)])).slice(1) for column in columns),
        pa.array(texts[1:]),
    ]
    expected = [slow_hash(*(values[no % 3] for values in numbers.values()), texts[no]) for no in range(1, 40)]
    assert hash_keys(keys, 39).tolist() == expected


def test_strings_with_equal_hashes_stay_different_groups():
    step, first = 0x9E3779B97F4A7C15, b"collide0"
    after = mix((16 * step + int.from_bytes(first, "little")) & MASK)

    def partners():
        """Second halves that bring another first half to the hash of `collide0` + `12345678`."""
        for i in range(100_000):
            other = f"{i:08d}".encode()
            drift = (after - mix((16 * step + int.from_bytes(other, "little")) & MASK)) * step
            half = ((int.from_bytes(b"12345678", "little") + drift) & MASK).to_bytes(8, "little")
            if half.isascii():
                yield (other + half).decode()

    texts = ["collide012345678", next(partners())]
    assert slow_hash(texts[0]) == slow_hash(texts[1])
    frame = pa.table({"s": pa.array([*texts, None, *texts[::-1], texts[0]])})
    asked = query(frame, ["s"], ["count"])
    states = combine([partial(frame, asked), partial(frame.slice(0, 1), asked)], asked)
    assert dict(zip(states["k0"].to_pylist(), states["rows"].to_pylist(), strict=True)) == {
        texts[0]: 4,
        texts[1]: 2,
        None: 1,
    }


@pytest.mark.parametrize(
    "keys",
    [
        pa.array(np.arange(100_000)),
        pc.cast(pa.array(np.arange(100_000)), pa.utf8()),
        pa.array(np.arange(1e5) / 7),
    ],
)
def test_buckets_are_filled_evenly(keys):
    counts = np.bincount(buckets([keys], len(keys)), minlength=1024)
    assert 50 < counts.min() <= counts.max() < 150


@pytest.fixture
def frame():
    r = np.random.default_rng(5)
    words = np.array([f"w{i}" * (i % 4) for i in range(60)])
    return pa.table(
        {
            "s": words[r.integers(0, 60, 5000)],
            "i": r.integers(0, 3, 5000),
            "x": r.random(5000) * 10.0 ** r.integers(-9, 9, 5000),
        }
    )


@pytest.mark.parametrize("partial_bytes", [1, 2000, 1 << 25])
def test_partials_are_disjoint_ascending_and_hold_every_state_once(frame, partial_bytes):
    asked = query(frame, ["s", "i"], ["count", "mean x", "std x", "max s"])
    states = combine([partial(frame, asked)], asked)
    partials = list(encode(states, asked, partial_bytes))
    assert all(a.first_bucket <= a.last_bucket < b.first_bucket for a, b in pairwise(partials))
    tables = [decode(encoded.data) for encoded in partials]
    for encoded, table in zip(partials, tables, strict=True):
        found = buckets([table["k0"].combine_chunks(), table["k1"].combine_chunks()], table.num_rows)
        assert (found.min() >= encoded.first_bucket) & (found.max() <= encoded.last_bucket)
        assert encoded.groups == table.num_rows
        assert encoded.first_bucket == encoded.last_bucket or table.nbytes <= 1.2 * partial_bytes
        width = encoded.last_bucket + 1 - encoded.first_bucket
        assert width & (width - 1) == 0
        assert encoded.first_bucket % width == 0
    assert {1: 90, 2000: 3}.get(partial_bytes, 1) <= len(partials)
    for one in partials:
        width = one.last_bucket + 1 - one.first_bucket
        assert width & (width - 1) == 0
        assert one.first_bucket % width == 0
    whole, again = finalize(states, asked), finalize(combine(tables[::-1], asked), asked)
    assert (whole.table, whole.buckets, whole.ids.tolist()) == (
        again.table,
        again.buckets,
        again.ids.tolist(),
    )
    apart = [finalize(combine([table], asked), asked) for table in tables]
    assert {bucket: sha for part in apart for bucket, sha in part.buckets.items()} == whole.buckets
    assert pa.concat_tables([part.table for part in apart]).combine_chunks() == whole.table.combine_chunks()
    assert [i for part in apart for i in part.ids.tolist()] == whole.ids.tolist()


def test_states_are_compressed_where_that_saves_a_quarter():
    numbers = np.arange(100_000)
    frame = pa.table(
        {
            "k": numbers // 1000,
            "s": [f"{'a long key ' * 5}{n // 10}" for n in numbers.tolist()],
            "x": np.random.default_rng(3).random(100_000),
        }
    )
    for keys, aggregate, least, most in ((["k"], "median x", 0.99, 1.2), (["s"], "count", 0, 0.6)):
        asked = query(frame, keys, [aggregate])
        states = combine([partial(frame, asked)], asked)
        partials = list(encode(states, asked, 1 << 16))
        assert least < sum(len(one.data) for one in partials) / states.nbytes < most
        decoded = combine([decode(one.data) for one in partials], asked)
        assert finalize(decoded, asked).buckets == finalize(states, asked).buckets


def test_no_states_make_no_partial_and_states_of_another_version_are_refused(frame):
    asked = query(frame, ["s"], ["sum x"])
    assert list(encode(partial(frame.slice(0, 0), asked), asked, 1000)) == []
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, frame.schema) as writer:
        writer.write_table(frame)
    with pytest.raises(InternalError, match="version"):
        decode(sink.getvalue().to_pybytes())


def test_rows_are_ordered_by_bucket_then_key_and_ids_count_within_the_bucket(frame):
    asked = query(frame, ["i", "s"], ["count"])
    result = finalize(combine([partial(frame, asked)], asked), asked)
    order = [
        (slow_hash(row["i"], row["s"]) >> 54, row["i"], row["s"].encode()) for row in result.table.to_pylist()
    ]
    assert order == sorted(order)
    seen = {}
    for (bucket, *_), found in zip(order, result.ids.tolist(), strict=True):
        seen[bucket] = seen.get(bucket, 0) + 1
        assert found == bucket << 40 | seen[bucket]
    assert sorted(result.buckets) == sorted(seen)


FULL = pa.table(
    {
        "s": pa.array(["é", "", None]),
        "b": pa.array([True, None, False]),
        "i": pa.array([-1, None, 2**62]),
        "m": pa.array([Decimal("-1.25"), None, Decimal("99.00")], pa.decimal128(18, 2)),
        "f": pa.array([-0.0, None, math.nan]),
        "d": pa.array([dt.date(1969, 12, 31), None, dt.date(2024, 2, 29)]),
        "t": pa.array([dt.datetime(2024, 1, 1), None, dt.datetime(1960, 1, 1)], pa.timestamp("us")),
        "z": pa.array(
            [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), None, dt.datetime(1960, 1, 1, tzinfo=dt.UTC)],
            pa.timestamp("us", tz="UTC"),
        ),
    }
)
KEYS = ["s", "b", "i", "m", "f", "d", "t", "z"]


def canonical(value):
    if value is None:
        return b"\0"
    match value:
        case bool():
            data = bytes([value])
        case int():
            data = value.to_bytes(16, "little", signed=True)
        case Decimal():
            data = int(value.scaleb(2)).to_bytes(16, "little", signed=True)
        case float():
            data = struct.pack("<d", value + 0.0)
        case str():
            data = struct.pack("<I", len(value.encode())) + value.encode()
        case list():
            data = struct.pack("<I", len(value)) + b"".join(map(canonical, value))
        case dt.datetime():
            data = struct.pack(
                "<q", (value.replace(tzinfo=None) - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
            )
        case dt.date():
            data = struct.pack("<i", (value - dt.date(1970, 1, 1)).days)
    return b"\1" + data


def test_the_digest_can_be_computed_again_from_its_description():
    asked = query(FULL, KEYS, ["count", "sum i", "sum m", "first s", *(f"top {key} 2" for key in KEYS)])
    result = finalize(combine([partial(FULL, asked)], asked), asked)
    columns = [{"name": name, "type": str(i)} for i, name in enumerate(result.table.column_names)]
    rows_of = {}
    for row, found in zip(result.table.to_pylist(), result.ids.tolist(), strict=True):
        rows_of.setdefault(found >> 40, hashlib.sha256()).update(b"".join(map(canonical, row.values())))
    expected = hashlib.sha256(
        b"gristmill.digest.1\n"
        + json.dumps([[c["name"], c["type"]] for c in columns], separators=(",", ":")).encode()
        + b"\n"
    )
    for bucket in sorted(rows_of):
        expected.update(struct.pack("<H", bucket) + rows_of[bucket].digest())
    assert result_digest(columns, result.buckets) == f"sha256:{expected.hexdigest()}"


def test_the_digest_of_a_fixed_dataset_never_changes():
    asked = query(FULL, KEYS, ["count", "mean f", "max s"])
    result = finalize(combine([partial(FULL, asked)], asked), asked)
    assert (
        result_digest([{"name": "s", "type": "string"}], result.buckets)
        == "sha256:94903937e7326f99df38bcef5d678f32543e3751185acd02f54def90aaf21172"
    )


def test_the_digest_of_every_aggregate_of_a_fixed_dataset_never_changes():
    frame = FULL.append_column("g", pa.array(["x", "x", "y"]))
    texts = [
        *(f"{fn} f" for fn in ("sum", "mean", "median", "var", "std", "sem", "nunique")),
        "quantile i 0.3",
        "cov i i",
        "corr i i",
    ]
    texts += [f"{fn} {c}" for fn in ("min", "max", "first", "last", "mode") for c in KEYS] + [
        "arg_max s i",
        "arg_min d m",
        "any b",
        "all b",
    ]
    asked = query(frame, ["g"], [*texts, *(f"{fn} {c} 2" for fn in ("top", "bottom") for c in KEYS)])
    result = finalize(combine([partial(frame, asked)], asked), asked)
    assert (
        result_digest([], result.buckets)
        == "sha256:b93e6d8ab793b9d8d79875e5aa1da546a45a15d17194ebdce7dea6371451cb0a"
    )


def test_a_widened_sum_has_the_digest_of_the_same_numbers_as_int64():
    frame = pa.table({"x": [5]})
    asked = query(frame, [], ["sum x"])
    narrow = finalize(combine([partial(frame, asked)], asked), asked)
    wide = narrow.table.cast(pa.schema({"sum x": pa.decimal128(38, 0)}))
    from worker_service.kernels.engine.digest import bucket_digests

    assert bucket_digests(wide, narrow.ids >> 40) == narrow.buckets


def test_the_csv_for_copy_quotes_strings_and_leaves_nulls_empty():
    lines = {'a"b,\n': '"a""b,\n",1,0.1\n', "": '"",,inf\n', None: ",3,nan\n"}
    frame = pa.table({"s": list(lines), "i": [1, None, 3], "f": [0.1, math.inf, math.nan]})
    asked = query(frame, ["s"], ["sum i", "sum f"])
    result = finalize(combine([partial(frame, asked)], asked), asked)
    keys = result.table["s"].to_pylist()
    assert to_copy_csv(result).decode() == "".join(
        f"{i},{lines[key]}" for i, key in zip(result.ids.tolist(), keys, strict=True)
    )


def test_arrays_are_written_for_copy_as_postgres_reads_them():
    texts = ["plain", 'with "quotes"', "back\\slash", "comma,{brace}", "", "NULL"]
    frame = pa.table(
        {
            "i": [*range(6), 6],
            "s": pa.array([*texts, None]),
            "f": pa.array([0.1, math.inf, -math.inf, math.nan, 1e300, 5e-324, None]),
            "b": pa.array([True, False, True, True, False, False, None]),
            "m": pa.array([Decimal("0.00"), Decimal("-1.50"), *[None] * 5], pa.decimal128(18, 2)),
        }
    )
    expected = {
        "s": [
            r'{"plain"}',
            r'{"with \"quotes\""}',
            r'{"back\\slash"}',
            '{"comma,{brace}"}',
            '{""}',
            '{"NULL"}',
            "",
        ],
        "f": ["{0.1}", "{inf}", "{-inf}", "{nan}", "{1e+300}", "{5e-324}", ""],
        "b": ["{true}", "{false}", "{true}", "{true}", "{false}", "{false}", ""],
        "m": ["{0.00}", "{-1.50}", "", "", "", "", ""],
    }
    for column, texts in expected.items():
        asked = query(frame, ["i"], [f"top {column} 3"])
        result = finalize(combine([partial(frame, asked)], asked), asked)
        found = {int(row[1]): row[2] for row in csv.reader(io.StringIO(to_copy_csv(result).decode()))}
        assert found == dict(enumerate(texts))


def test_doubles_are_written_so_that_they_read_back_to_the_bit():
    values = np.concatenate(
        [
            np.random.default_rng(2).random(500) * 10.0 ** np.arange(-250, 250),
            [5e-324, 1.7976931348623157e308, 0.1 + 0.2],
        ]
    )
    frame = pa.table({"i": np.arange(503), "f": values})
    asked = query(frame, ["i"], ["sum f"])
    result = finalize(combine([partial(frame, asked)], asked), asked)
    found = {int(row[1]): float(row[2]) for row in csv.reader(io.StringIO(to_copy_csv(result).decode()))}
    assert found == dict(enumerate(values.tolist()))
