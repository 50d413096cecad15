"""Planning reads a bounded head of each file, in work that grows with the bytes and no faster.

A record has one limit wherever it stands.
"""

import csv
import gzip
import io
import os
import random
import zlib
from contextlib import contextmanager

import pytest

from shared.errors import BadRow, CorruptFile, LimitExceeded, SourceEmpty
from tests.support.child_tasks import chunk_task, plan_task
from tests.support.datasets import opened, rows, schema_of, source
from worker_service.child import tasks
from worker_service.messages import PlanResult
from worker_service.readers import SourceFile
from worker_service.readers import plan as plan_dataset
from worker_service.readers.bytes import compressed, local
from worker_service.readers.csv import blocks, faults, first_records, head, masked, opening, plan, read, scan
from worker_service.readers.csv.scan import Scanner

MIB = 1 << 20
GUESS = pytest.mark.parametrize("guess", [False, True])


class Meter:
    """Bytes read of files, decompressed, scanned, and searched for the end of the last record.

    More than *most* of one of them fails the test.
    """

    def __init__(self, most):
        self.most, self.read, self.unpacked, self.scanned, self.searched = most, 0, 0, 0, 0

    def add(self, kind, count):
        setattr(self, kind, getattr(self, kind) + count)
        assert getattr(self, kind) <= self.most, f"{kind} more than {self.most:,} bytes"


@contextmanager
def metered(monkeypatch, most):
    meter = Meter(most)
    pread, buffers, feed, last_end = os.pread, compressed.buffers, Scanner.feed, masked.last_end

    def metered_pread(fd, size, at):
        data = pread(fd, size, at)
        meter.add("read", len(data))
        return data

    def metered_buffers(*arguments):
        for buffer in buffers(*arguments):
            meter.add("unpacked", len(buffer))
            yield buffer

    def metered_feed(scanner, buffer):
        meter.add("scanned", len(buffer))
        return feed(scanner, buffer)

    def metered_last_end(data, quote, inside):
        meter.add("searched", len(data))
        return last_end(data, quote, inside)

    with monkeypatch.context() as patch:
        patch.setattr(local.os, "pread", metered_pread)
        patch.setattr(compressed, "buffers", metered_buffers)
        patch.setattr(Scanner, "feed", metered_feed)
        for module in (blocks, read, scan):
            patch.setattr(module, "last_end", metered_last_end)
        yield meter


@contextmanager
def sparse(tmp_path, start, size=1 << 40):
    path = tmp_path / "sparse"
    path.write_bytes(start)
    os.truncate(path, size)
    with path.open("rb") as file:
        yield SourceFile(opened=file.fileno, uri="file:///data/sparse", size=size)


@pytest.fixture
def small_records(monkeypatch):
    """Records, and the bytes before the first, are limited to a megabyte."""
    monkeypatch.setattr(scan, "MAX_RECORD", MIB)
    monkeypatch.setattr(opening, "HEAD", MIB)
    monkeypatch.setattr(first_records, "LOOKED", 64 * 1024)


# fault matrix: 53
@GUESS
@pytest.mark.parametrize("line", [b"# a comment line\n", b"\n", b"\r\n", b"#\n"])
def test_comments_and_empty_lines_before_the_first_record_are_read_up_to_a_bound(
    monkeypatch, small_records, line, guess
):
    packed = gzip.compress(line * (4 * MIB // len(line)), 1)
    with opened(packed) as files_, metered(monkeypatch, 4 * MIB) as meter:
        with pytest.raises(
            SourceEmpty,
            match=r"no record begins in the first 1,048,576 bytes of the decompressed data: .* "
            r"check csv\.skip_rows and csv\.comment",
        ):
            plan_dataset(files_, source(comment="#"), 1 << 25, guess=guess)
        assert meter.unpacked > MIB


@GUESS
def test_a_comment_that_never_ends_is_read_up_to_the_same_bound(monkeypatch, tmp_path, small_records, guess):
    refused = pytest.raises(SourceEmpty, match="no record begins in the first 1,048,576 bytes:")
    with sparse(tmp_path, b"\n\n# ") as file, metered(monkeypatch, 4 * MIB), refused:
        plan_dataset([file], source(comment="#"), 1 << 25, guess=guess)


@GUESS
@pytest.mark.parametrize("start", [b"", b"a,b\n", b"a,b\n" + b"1,2\n" * 900, b'a,b\n1,"', b"#\n" * 60_000])
def test_a_hole_of_a_terabyte_is_a_record_that_is_too_long(
    monkeypatch, tmp_path, small_records, start, guess
):
    with sparse(tmp_path, start) as file, metered(monkeypatch, 8 * MIB):
        at = len(start) if not start.endswith(b'"') else 4
        with pytest.raises(
            BadRow,
            match=rf"sparse: byte {at}, line \d+: "
            rf"the record at byte {at} is longer than the limit of 1,048,576 bytes",
        ):
            plan_dataset([file], source(comment="#"), 1 << 25, guess=guess)


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("before", [b"", b"\n\r\n" * 300_000, b"# c\n" * 200_000, b"\xef\xbb\xbf#\n"])
def test_the_first_record_is_looked_at_once_and_its_limit_begins_with_its_first_byte(
    monkeypatch, small_records, before, packed
):
    """The bytes before it are read again to name its line."""
    data = packed(before + b"x" * 5 * MIB + b",y\n1,2\n")
    with opened(data) as files_, metered(monkeypatch, 8 * (len(before) + MIB)) as meter:
        at = len(before)
        with pytest.raises(
            BadRow,
            match=rf"t0: byte {at}( of the decompressed data)?, line \d+: "
            rf"the record at byte {at} is longer than the limit",
        ):
            plan_dataset(files_, source(comment="#"), 1 << 25)
        assert meter.scanned <= 3 * MIB + 8 * first_records.GLANCE


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("end", [b"\n", b""], ids=["line feed", "end of file"])
@pytest.mark.parametrize("quote", [b"", b'"'], ids=["plain text", "quoted"])
def test_a_record_of_exactly_the_limit_is_read_at_any_batch_and_one_more_byte_is_refused(
    monkeypatch, small_records, packed, end, quote
):
    for size in (MIB, MIB + 1):
        long = (
            b"1," + quote + b"\n" * bool(quote) + b"x" * (size - 2 - len(end) - 3 * bool(quote)) + quote + end
        )
        assert len(long) == size
        data = packed(b"a,b\n0,y\n" + long)
        for batch_bytes, chunk_bytes in ((MIB // 3, 1), (5 * MIB, 1 << 25)):
            options = {
                "spec": source({"b": "string"}),
                "batch_bytes": batch_bytes,
                "chunk_bytes": chunk_bytes,
            }
            if size == MIB:
                assert [a for a, _ in rows(data, **options)] == [0, 1]
            else:
                with pytest.raises(
                    BadRow, match="the record at byte 8 is longer than the limit of 1,048,576 bytes"
                ):
                    rows(data, **options)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 1000])
def test_the_head_is_the_same_in_buffers_of_any_size(monkeypatch, size):
    monkeypatch.setattr(opening, "BUFFER", size)
    for start in (b"", b"\xef\xbb\xbf", b"\n", b'#,"\n\r\n#\r#', b"\xef\xbb\xbf#\xff\0\r\n\r"):
        for end in (b"\n", b"\r\n", b"\r"):
            before = start + end if start.endswith(b"#") else start
            data = before + b'"a\n""",b# ' + end + b"#\n1,2" + end
            assert list(schema_of(data, spec=source(comment="#"))) == ['a\n"', "b# "]
            assert rows(data, spec=source(comment="#")) == [(1, 2)]
            with pytest.raises(BadRow, match=r"text after the closing quote at byte \d+"):
                schema_of(before + b'"a\n"" "b,c' + end, spec=source(comment="#"))


def test_more_columns_than_the_most_are_refused(monkeypatch):
    monkeypatch.setattr(head, "MAX_COLUMNS", 3)
    assert len(schema_of(b'a,"b,,,",c\n1,2,3\n')) == 3
    with pytest.raises(
        LimitExceeded,
        match=r"t0: byte 1, line 2: the first record has 4 fields; the most is 3; check csv\.delimiter",
    ):
        schema_of(b"\na,b,c,d\n1,2,3,4\n")


def test_of_many_wide_files_some_are_sampled_and_all_are_read(monkeypatch):
    sampled = []
    texts = plan._texts
    monkeypatch.setattr(plan, "_SAMPLED_COLUMNS", 20)
    monkeypatch.setattr(
        plan,
        "_texts",
        lambda samples, file, *more: (
            sampled.append(len(samples) * len(file.names)) or texts(samples, file, *more)
        ),
    )
    names = ",".join(f"c{i}" for i in range(5)).encode()
    contents = [names + b"\n" + b"1,2,3,4,%d\n" % i for i in range(40)]

    assert [row[-1] for row in rows(*contents)] == list(range(40))
    assert sum(sampled) == 20


# --- lines, quotes and their windows ---


def test_ends_of_records_are_those_that_a_walk_from_byte_to_byte_finds(monkeypatch):
    monkeypatch.setattr(masked, "_WINDOW", 7)
    chance = random.Random(5)
    for _ in range(400):
        data = bytes(chance.choice(b'ab"\n\r') for _ in range(chance.randrange(40)))
        inside = began = bool(chance.randrange(2))
        ends, breaks = [], []
        for at, octet in enumerate(data):
            inside ^= octet == ord('"')
            if octet in b"\n\r" and not inside:
                breaks.append(at)
            if octet == ord("\n") and not inside:
                ends.append(at + 1)
        assert masked.record_ends(data, b'"', began).tolist() == ends
        assert masked.first_end(data, b'"', began) == (ends[0] if ends else 0)
        assert masked.last_end(data, b'"', inside) == (ends[-1] if ends else 0)
        assert masked.first_break(data, b'"', began) == (breaks[0] if breaks else None)


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_record_of_many_quoted_lines_is_looked_at_in_proportion_to_its_bytes(monkeypatch, packed):
    data = b"a,b\n1,2\n" + b'"x\n""",' * 300_000 + b"y\n"
    with metered(monkeypatch, 10 * len(data)), pytest.raises(BadRow, match="300001 fields instead of 2"):
        rows(packed(data))
    assert next(csv.reader(io.StringIO(data[8:].decode())))[0] == 'x\n"'


def test_the_record_of_a_fault_far_into_a_record_is_found_with_work_in_proportion(monkeypatch):
    data = b"a,b\n" + b'"' + b"x\n" * MIB + b'" y,1\n'
    monkeypatch.setattr(faults, "_BUFFER", 4096)
    refused = pytest.raises(BadRow, match="byte 4, line 2: column 'a': text after the closing quote")
    with opened(data) as files_, metered(monkeypatch, 8 * len(data)), refused:
        plan_dataset(files_, source(delimiter=","), 1 << 25)


# --- gzip ---


class Given:
    """A decompressor that counts the bytes given to it."""

    total = 0

    def __init__(self, wbits):
        self._inner = DECOMPRESSOR(wbits=wbits)

    def decompress(self, data, size):
        Given.total += len(data)
        return self._inner.decompress(data, size)

    def __getattr__(self, name):
        return getattr(self._inner, name)


DECOMPRESSOR = zlib.decompressobj


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"") * 20_000, b"".join(gzip.compress(b"1,2\n", 1) for _ in range(9000))],
    ids=["empty", "short"],
)
def test_many_members_cost_their_bytes_and_not_those_that_follow_them(monkeypatch, data):
    packed = gzip.compress(b"a,b\n") + data
    expected = gzip.decompress(packed)
    monkeypatch.setattr(Given, "total", 0)
    monkeypatch.setattr(zlib, "decompressobj", Given)
    with opened(packed) as [file]:
        text = b"".join(compressed.buffers(file, "gzip", 1000))
    assert text == expected
    assert Given.total < 20 * len(packed)


@pytest.mark.parametrize("tail", [gzip.compress(b"") * 500, b"\0" * 9000], ids=["empty members", "padding"])
def test_a_long_stretch_of_a_gzip_file_that_holds_nothing_is_refused(monkeypatch, tail):
    start = gzip.compress(b"a,b\n1,2\n")
    assert rows(start + tail) == [(1, 2)]
    monkeypatch.setattr(compressed, "MAX_WITHOUT_DATA", 5000)
    with pytest.raises(
        CorruptFile,
        match=rf"t0: the [\d,]+ bytes after byte {len(start)} of the gzip file hold no data: "
        "empty members or padding",
    ):
        rows(start + tail)


ODD = {
    "nothing but a mark": b"\xef\xbb\xbf",
    "empty members": gzip.compress(b"") * 3,
    "rubbish behind a member": gzip.compress(b"a,b\n1,2\n") + b"\0\0rubbish",
    "a gzip in a gzip": gzip.compress(gzip.compress(b"a,b\n1,2\n")),
    "NUL": b"a,b\n1,\0\n",
    "NUL in the header": b"a,b\0\n1,2\n",
    "NULs": b"\0" * 5000,
    "an empty gzip header": b"\x1f\x8b",
    "lone carriage returns": b"a,b\r1\r2,3\r",
}


@pytest.mark.parametrize("name", ODD)
@GUESS
def test_odd_contents_are_errors_of_the_source(name, guess, tmp_path):
    path = tmp_path / "t0"
    path.write_bytes(ODD[name])
    spec = {
        "source": {"uris": [f"file://{path}"]},
        "group_by": [],
        "aggregates": [{"fn": "sum", "column": "b"}],
    }
    outcome, _ = tasks.run(plan_task(spec, path, prove=not guess))
    if isinstance(outcome, PlanResult):  # bad rows are found when the records are read
        outcome, _ = tasks.run(chunk_task(spec, outcome, 0))
    category = "user" if outcome.problem["code"] == "not_supported" else "source"
    assert (outcome.problem["category"], "t0" in outcome.problem["detail"]) == (category, True)
