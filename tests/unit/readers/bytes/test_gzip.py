"""gzip and deflate by ISA-L, with zlib as the oracle: the same bytes, or both refuse them."""

import gzip
import random
import struct
import zlib

import pytest

from worker_service.readers.bytes.codecs import CODECS, ERRORS, METHODS

DATA = b"".join(b"%d,%d\n" % (i, i * i % 9973) for i in range(4000))


def inflated(decompressor, packed, step, most):
    """All data, and the bytes behind the stream; None: refused, or not ended."""
    data, at = b"", 0
    try:
        while not decompressor.eof:
            hungry = decompressor.needs_input
            given = packed[at : at + step] if hungry else b""
            at += len(given)
            found = decompressor.decompress(given, most)
            assert len(found) <= most
            data += found
            if hungry and not given and not found:
                return None
    except ERRORS:
        return None
    return data, decompressor.unused_data + packed[at:]


def by_zlib(packed, wbits):
    stream = zlib.decompressobj(wbits)
    try:
        data = stream.decompress(packed)
    except zlib.error:
        return None
    return (data, stream.unused_data) if stream.eof else None


def with_header(flags, *, extra=b"", name=b"", comment=b"", wrong=0):
    header = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\3"
    if flags & 4:
        header += struct.pack("<H", len(extra)) + extra
    if flags & 8:
        header += name + b"\0"
    if flags & 16:
        header += comment + b"\0"
    if flags & 2:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF ^ wrong)
    return header + gzip.compress(DATA)[10:]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 256, 1 << 20])
@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (0, {}),
        (1, {}),
        (2, {}),
        (2, {"wrong": 1}),
        (4, {"extra": b"x" * 0xFFFF}),
        (4, {}),
        (8, {"name": b"n" * 70_000}),
        (16, {"comment": b"c" * 300}),
        (31, {"extra": b"\0\1" * 200, "name": b"data.csv", "comment": b"of the data"}),
        (31, {"extra": b"\0\1" * 200, "name": b"data.csv", "comment": b"of the data", "wrong": 0x8000}),
        (32, {}),
        (128, {}),
    ],
)
def test_headers_are_read_wherever_a_buffer_ends(flags, parts, step):
    if step < 7 and len(parts.get("name", b"")) + len(parts.get("extra", b"")) > 1000:
        step = 4096 + step
    packed = with_header(flags, **parts) + b"rest"
    assert inflated(CODECS["gzip"](), packed, step, 1 << 16) == by_zlib(packed, 31)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_another_magic_or_method_is_refused(at):
    packed = bytearray(gzip.compress(DATA))
    packed[at] ^= 1
    assert inflated(CODECS["gzip"](), bytes(packed), 300, 4096) is by_zlib(bytes(packed), 31) is None


def packed_somehow(draw, wbits):
    """Bytes of one stream: of any level and strategy, with flushes, of text, noise or little."""
    kind = draw.randrange(4)
    size = draw.choice([0, 1, 100, 5000, 70_000])
    data = {
        0: DATA[:size],
        1: draw.randbytes(size),
        2: bytes(size),
        3: bytes(draw.choices(b"ab,\n", k=size)),
    }[kind]
    level, strategy = draw.randrange(10), draw.choice([0, 1, 2, 3, 4])
    stream = zlib.compressobj(level, zlib.DEFLATED, wbits, draw.randrange(1, 10), strategy)
    packed, at = b"", 0
    while at < len(data):
        step = draw.randrange(1, 20_000)
        packed += stream.compress(data[at : at + step])
        at += step
        if draw.random() < 0.3:
            packed += stream.flush(draw.choice([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH]))
    return packed + stream.flush()


@pytest.mark.parametrize(("wbits", "codec"), [(31, CODECS["gzip"]), (-15, METHODS[8])], ids=["gzip", "zip"])
@pytest.mark.parametrize("seed", range(4))
def test_whole_cut_and_damaged_streams_are_taken_and_refused_as_by_zlib(wbits, codec, seed):
    draw = random.Random(seed)
    for _ in range(50):
        packed = bytearray(packed_somehow(draw, wbits))
        harm = draw.randrange(4)
        if harm == 1:
            del packed[draw.randrange(len(packed)) :]
        for _ in range({2: 1, 3: 8}.get(harm, 0)):
            bit = draw.randrange(8 * len(packed))
            packed[bit // 8] ^= 1 << bit % 8
        given = bytes(packed) + draw.choice([b"", b"\0\0", b"rest", gzip.compress(b"more")])
        step, most = draw.choice([1, 2, 13, 256, 1 << 18]), draw.choice([100, 4096, 1 << 20])
        if len(given) > 5000:
            step, most = max(step, 256), max(most, 4096)
        assert inflated(codec(), given, step, most) == by_zlib(given, wbits)


def test_a_bomb_gives_no_more_than_it_is_asked_for():
    packed = gzip.compress(bytes(50_000_000))
    stream, taken, given = CODECS["gzip"](), 0, packed
    while not stream.eof:
        data = stream.decompress(given, 1000 if taken < 100_000 else 1 << 20)
        assert len(data) <= (1000 if taken < 100_000 else 1 << 20)
        taken, given = taken + len(data), b""
    assert taken == 50_000_000
